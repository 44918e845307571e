"""`kubectl anomaly lint FILE`: what the API server would say of detectors and models in a file, without one."""

import argparse
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from anomaly_api.mistakes import sentences
from anomaly_api.model import AnomalyModel
from kubectl_anomaly.exits import Exit, PluginError
from kubectl_anomaly.kubectl import Kubectl
from kubectl_anomaly.printing import structured


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("files", metavar="FILE", nargs="+", help="YAML or JSON; - is standard input; other kinds are passed over")


def run(asked: argparse.Namespace, _: Kubectl) -> int:
    """Raises PluginError where a file cannot be read."""
    found = [each for file in asked.files for each in _checked(file)]
    if not found:
        raise PluginError(Exit.USAGE, f"{', '.join(asked.files)}: there is no AnomalyDetector or AnomalyModel in it")
    if asked.output == "name":
        print("\n".join(f"{each['kind'].lower()}/{each['name']}" for each in found if each["findings"]))
    elif asked.output:
        print(structured(found, asked.output))
    else:
        for each in found:
            lines = [f"{each['file']}: {each['kind']} {each['name']}: {line}" for line in each["findings"] or ["ok"]]
            print("\n".join(lines))
    return Exit.NOT_SO if any(each["findings"] for each in found) else Exit.DONE


def _checked(file: str) -> list[dict[str, Any]]:
    import yaml

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        loaded = [each for each in yaml.safe_load_all(text) if isinstance(each, dict)]
    except OSError as error:
        raise PluginError(Exit.USAGE, f"{file} cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PluginError(Exit.USAGE, f"{file} is no YAML: {' '.join(str(error).split())}") from error
    flat = [item for each in loaded for item in (each.get("items") or [] if each.get("kind") == "List" else [each])]
    return [
        {
            "file": file,
            "kind": each["kind"],
            "name": str((each.get("metadata") or {}).get("name", "?")),
            "findings": _findings(each),
        }
        for each in flat
        if each.get("kind") in ("AnomalyDetector", "AnomalyModel")
    ]


def _findings(document: dict[str, Any]) -> list[str]:
    if document["kind"] == "AnomalyModel":
        try:
            AnomalyModel.model_validate(document)
        except ValidationError as error:
            return sentences(error)
        return []
    try:
        from anomaly_api.lint import LintError, findings
    except ImportError as error:
        raise PluginError(Exit.USAGE, str(error)) from error
    try:
        return findings(document)
    except LintError as error:
        raise PluginError(Exit.USAGE, str(error)) from error
