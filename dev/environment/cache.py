"""Things that cost minutes to make, kept outside the clone under the digest of what they are made from."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

KEPT = 3  # of a kind, the most recently used; older ones can be made again


def root() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "anomaly-operator"


def digest(*inputs: Path | str) -> str:
    """Sixteen hexadecimal digits of the content of files and folders (names included) and of texts."""
    hashed = hashlib.sha256()
    for item in inputs:
        for name, content in _contents(item):
            hashed.update(f"{name}\0{len(content)}\0".encode())
            hashed.update(content)
    return hashed.hexdigest()[:16]


def _contents(item: Path | str) -> list[tuple[str, bytes]]:
    if isinstance(item, str):
        return [("", item.encode())]
    if item.is_file():
        return [(item.name, item.read_bytes())]
    if not item.is_dir():
        raise FileNotFoundError(f"{item} is an input of a cached build and does not exist")
    files = sorted(p for p in item.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return [(str(p.relative_to(item)), p.read_bytes()) for p in files]


def made(kind: str, key: str, make: Callable[[Path], None]) -> Path:
    """The folder for `key`; `make` fills it once, whoever asks first, and a half-made one is never seen."""
    folder = root() / f"{kind}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    if not folder.is_dir():
        with (root() / f"{kind}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.is_dir():
                unfinished = root() / f"{kind}-{key}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.rename(folder)
                _drop_unused(kind)
    os.utime(folder)
    return folder


def _drop_unused(kind: str) -> None:
    folders = [folder for folder in root().glob(f"{kind}-*") if folder.is_dir()]
    for folder in sorted(folders, key=lambda one: one.stat().st_mtime)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)
