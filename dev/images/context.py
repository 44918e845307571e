"""What goes into an image: the files, always with the same times, and their digest, which is the image's tag."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dev import cache
from dev.supervision.plan import CLONE

HERE = Path(__file__).parent
RECIPE = (HERE / "Dockerfile", HERE / "packages", CLONE / "pyproject.toml", CLONE / "uv.lock")
_API = CLONE / "crds" / "anomaly_api"
_OPERATOR = CLONE / "operator" / "anomaly_operator"
_DETECTOR = CLONE / "detector" / "anomaly_detector"
SOURCES = {"operator": (_API, _OPERATOR), "detector": (_API, _DETECTOR), "trainer": (_API, _DETECTOR)}


@dataclass(frozen=True)
class Image:
    """A target of the Dockerfile as the files are now."""

    target: str
    digest: str

    @property
    def name(self) -> str:
        return f"anomaly-operator/{self.target}:dev-{self.digest}"


def image(target: str) -> Image:
    return Image(target, cache.digest(target, *RECIPE, *SOURCES[target]))


def lay_out(folder: Path) -> None:
    """Fills an empty folder for the build; equal files make equal layers, so times and permissions are made equal."""
    for file in RECIPE:
        shutil.copy(file, folder)
    for source in (_API, _OPERATOR, _DETECTOR):
        if source.is_dir():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in [folder, *folder.rglob("*")]:
        executable = path.is_dir() or path.name == "packages"
        path.chmod(0o755 if executable else 0o644)
        os.utime(path, (0, 0))
