"""Writes the CRDs that `anomaly_api` describes into `crds/` and the chart; with `--check` only says whether they are stale."""

import sys
from pathlib import Path
from typing import Any, Final

import yaml

from anomaly_api.crd import detector_crd, model_crd

_ROOT: Final = Path(__file__).resolve().parent.parent
FOLDERS: Final = (_ROOT / "crds", _ROOT / "helm" / "anomaly-operator" / "files")
_HEADER: Final = "# Generated from crds/anomaly_api by `make crds`; do not edit.\n"


class _Plain(yaml.SafeDumper):
    """Writes a value that stands in two places twice, where YAML's aliases would only puzzle a reader."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def rendered() -> dict[str, str]:
    """File name to content."""
    return {
        _file_name(crd): _HEADER + yaml.dump(crd, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
        for crd in (detector_crd(), model_crd())
    }


def _file_name(crd: dict[str, Any]) -> str:
    return f"{crd['spec']['names']['plural']}.yaml"


def stale() -> list[Path]:
    """Files that differ from what they should be."""
    return [
        folder / name
        for folder in FOLDERS
        for name, content in rendered().items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != content
    ]


def main() -> int:
    """Exit status 1 when something was stale and only a check was asked for."""
    found = stale()
    if "--check" in sys.argv[1:]:
        for path in found:
            print(f"{path.relative_to(_ROOT)} is stale: run `make crds`", file=sys.stderr)
        return int(bool(found))
    contents = rendered()
    for path in found:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(contents[path.name], encoding="utf-8")
        print(f"wrote {path.relative_to(_ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
