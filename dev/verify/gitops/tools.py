"""Builds the judge (`judge/main.go`) once, and asks it what Argo CD and Flux make of documents.

Argo CD's health package needs of its neighbour `kube` a few names and a type. The rest of that package would bring a tenth of
Kubernetes, and minutes of compiling: the judge is built from a copy of the module in which it is cut down to these.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

from dev.environment import cache
from dev.environment.cluster import binaries
from dev.progress import Tell, telling

SOURCE: Final = Path(__file__).parent / "judge"
_ENGINE: Final = "github.com/argoproj/argo-cd/gitops-engine"
_CUSTOMIZATIONS: Final = "resource.customizations"
KEY: Final = "anomaly-operator.dev_AnomalyDetector"
"""As Argo CD's ConfigMap names the kind."""
Document = dict[str, Any]


def judged(documents: dict[str, Document], argocd: Document, tell: Tell) -> dict[str, Document]:
    """An answer for each document; `argocd`: the ConfigMap with our Lua. See `Answer` in judge/main.go."""
    actions = customization(argocd, "actions")
    question = {
        "health": customization(argocd, "health"),
        "discovery": actions["discovery.lua"],
        "actions": {each["name"]: each["action.lua"] for each in actions["definitions"]},
        "documents": documents,
    }
    done = subprocess.run([built(tell)], input=json.dumps(question), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the judge gave up: {done.stderr.strip()}")
    answers: dict[str, Document] = json.loads(done.stdout)
    return answers


def customization(argocd: Document, what: str) -> Any:
    """What Argo CD's ConfigMap says of our detectors: the Lua of `health`, or the parsed `actions`."""
    import yaml

    text = argocd["data"][f"{_CUSTOMIZATIONS}.{what}.{KEY}"]
    return yaml.safe_load(text) if what == "actions" else text


def built(tell: Tell) -> str:
    """The path of the judge; a minute or two the first time."""
    made = cache.made("gitops", cache.digest(SOURCE, Path(__file__)), lambda into: _build(into, tell))
    return str(made / "judge")


def _build(into: Path, tell: Tell) -> None:
    with telling(tell, "building the judge from Argo CD's and Flux's Go modules (a minute or two, once)"):
        engine = json.loads(binaries.go(SOURCE, "mod", "download", "-json", _ENGINE))
        copy = into / "engine"
        shutil.copytree(engine["Dir"], copy, ignore=shutil.ignore_patterns("*_test.go", "testdata"))
        for folder in (copy, *(each for each in copy.rglob("*") if each.is_dir())):
            folder.chmod(0o755)  # the cache of modules cannot be written to
        _cut_down(copy / "pkg" / "utils" / "kube")
        modules = into / "go.mod"
        modules.write_text(f"{(SOURCE / 'go.mod').read_text()}\nreplace {_ENGINE} => {copy}\n")
        shutil.copy(SOURCE / "go.sum", into / "go.sum")
        flags = ("-mod=mod", f"-modfile={modules}", "-p=1", "-trimpath", "-gcflags=all=-dwarf=false", "-ldflags=-s -w")
        binaries.go(SOURCE, "build", *flags, "-o", str(into / "judge"), ".", GOGC="100")
        shutil.rmtree(copy)


def _cut_down(kube: Path) -> None:
    """Leaves of the package the names of kinds and the key of a resource."""
    source = (kube / "kube.go").read_text(encoding="utf-8")
    found = [
        re.search(pattern, source, re.DOTALL)
        for pattern in (r"const \(\s+SecretKind.*?\n\)", r"type ResourceKey struct \{.*?\n\}")
    ]
    if None in found:
        raise RuntimeError(f"{kube}/kube.go is not what it was: look at what pkg/health needs of it")
    for file in kube.glob("*.go"):
        file.unlink()
    (kube / "kube.go").write_text(
        "\n\n".join(["package kube", *(each.group(0) for each in found if each)]) + "\n", encoding="utf-8"
    )
