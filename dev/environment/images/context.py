"""Build contexts of the images: the files, always with the same times, and their digests, which are the images' tags."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import tarfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from dev.environment import cache
from dev.environment.supervision.plan import CLONE

HERE = Path(__file__).parent
INSTALLED = "opt/anomaly-operator"  # where the Dockerfile puts our source
_API = CLONE / "crds" / "anomaly_api"
_OPERATOR = CLONE / "operator" / "anomaly_operator"
_DETECTOR = CLONE / "detector" / "anomaly_detector"
SOURCES = {"operator": (_API, _OPERATOR), "detector": (_API, _DETECTOR), "trainer": (_API, _DETECTOR)}
_EXTRAS = {"operator": "operator", "detector": "detector", "trainer": "training"}
_NOT_SOURCE = shutil.ignore_patterns("__pycache__")


@dataclass(frozen=True)
class Image:
    """A target of the Dockerfile as the files are now."""

    target: str
    recipe: str  # the digest of everything but our source
    source: str  # and of that

    @property
    def name(self) -> str:
        return f"anomaly-operator/{self.target}:dev-{cache.digest(self.recipe, self.source)}"

    @property
    def without_source(self) -> str:
        """The name of the image before our source was added: the part that takes minutes to make."""
        return f"anomaly-operator/{self.target}:recipe-{self.recipe}"


def image(target: str) -> Image:
    recipe = cache.digest(HERE / "Dockerfile", HERE / "packages", _packages(_EXTRAS[target]), _project())
    return Image(target, recipe, cache.digest(*SOURCES[target]))


def _packages(extra: str) -> str:
    """What uv.lock has of the packages that an extra needs: another version of a test's tool makes no new image."""
    locked: dict[str, list[dict[str, Any]]] = {}
    for package in tomllib.loads((CLONE / "uv.lock").read_text())["package"]:
        locked.setdefault(package["name"], []).append(package)
    [project] = locked["anomaly-operator"]
    found: set[str] = set()
    left = [*project["dependencies"], *project["optional-dependencies"][extra]]
    while left:
        needed = left.pop()
        if needed["name"] not in found and needed["name"] != "anomaly-operator":
            found.add(needed["name"])
            for package in locked[needed["name"]]:
                left += package.get("dependencies", [])
                left += [each for name in needed.get("extra", ()) for each in package["optional-dependencies"].get(name, [])]
    files = [(package["version"], package.get("wheels", [])) for name in sorted(found) for package in locked[name]]
    return json.dumps([sorted(found), files])


def _project() -> str:
    """The tables of pyproject.toml that decide about packages; how we lint makes no new image."""
    tables = re.split(r"^(?=\[)", (CLONE / "pyproject.toml").read_text(), flags=re.MULTILINE)
    return "".join(table for table in tables if table.startswith("[project"))


def lay_out(folder: Path, *, sources: bool) -> None:
    """Fills an empty folder for the build; equal files make equal layers, so times and permissions are made equal."""
    for file in (HERE / "Dockerfile", HERE / "packages", CLONE / "uv.lock"):
        shutil.copy(file, folder)
    (folder / "pyproject.toml").write_text(_project())
    for target, packages in SOURCES.items():
        (folder / "sources" / target).mkdir(parents=True)
        for package in packages if sources else ():
            shutil.copytree(package, folder / "sources" / target / package.name, ignore=_NOT_SOURCE)
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.name == "packages" else 0o644)
        os.utime(path, (0, 0))


def source_layer(target: str, sources: Path) -> bytes:
    """A tar of the target's source, as the Dockerfile's last line would add it; `sources` is one of what its stage made."""
    packed = io.BytesIO()
    with (
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
        tarfile.open(sources) as made,
    ):
        for entry in sorted(made, key=lambda entry: entry.name):
            folder, _, name = entry.name.strip("./").partition("/")
            if folder == target and name:
                _add(tar, f"{INSTALLED}/{name}", made.extractfile(entry))
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, file: IO[bytes] | None) -> None:
    """A file, or without one a folder; times and owners are always the same."""
    entry = tarfile.TarInfo(name)
    if file is None:
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
    else:
        content = file.read()
        entry.size, entry.mode = len(content), 0o644
        tar.addfile(entry, io.BytesIO(content))
