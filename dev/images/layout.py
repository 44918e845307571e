"""The OCI layout where built images wait, each blob once; and the archive of those that a cluster lacks."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import IO, Any

REF = "org.opencontainers.image.ref.name"
KEPT = 3  # the last so many images of a target stay for other clones; older ones cost seconds to make again


def full_name(name: str) -> str:
    """As Kubernetes resolves a name without a registry."""
    return f"docker.io/{name}"


def write_archive(layout: Path, names: Iterable[str], present: Collection[str], into: IO[bytes]) -> None:
    """A tar of the named images; blobs that are `present` (by digest) at the other end are left out."""
    wanted = {full_name(name) for name in names}
    entries = [entry for entry in _index(layout)["manifests"] if entry["annotations"].get(REF) in wanted]
    blobs = {digest for entry in entries for digest in _blobs(layout, entry["digest"])}
    with tarfile.open(fileobj=into, mode="w|") as tar:
        tar.add(layout / "oci-layout", "oci-layout")
        _add(tar, "index.json", json.dumps({"schemaVersion": 2, "manifests": entries}).encode())
        for digest in sorted(blobs - set(present)):
            tar.add(_path(layout, digest), f"blobs/{digest.replace(':', '/')}")


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def holds(layout: Path, name: str) -> bool:
    if not (layout / "index.json").exists():
        return False
    return any(entry["annotations"].get(REF) == full_name(name) for entry in _index(layout)["manifests"])


def prune(layout: Path) -> None:
    """Drops all but the newest images of each target, and the blobs that only they had."""
    by_target: dict[str, list[dict[str, Any]]] = {}
    for entry in _index(layout)["manifests"]:  # in the order in which they were added
        by_target.setdefault(entry["annotations"].get(REF, "").partition(":")[0], []).append(entry)
    kept = [entry for entries in by_target.values() for entry in entries[-KEPT:]]
    replacement = layout / "index.json.new"
    replacement.write_text(json.dumps({"schemaVersion": 2, "manifests": kept}))
    replacement.rename(layout / "index.json")
    used = {_path(layout, digest) for entry in kept for digest in _blobs(layout, entry["digest"])}
    for blob in (layout / "blobs" / "sha256").iterdir():
        if blob not in used:
            blob.unlink()


def _index(layout: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((layout / "index.json").read_text())
    return value


def _blobs(layout: Path, manifest: str) -> list[str]:
    """Digests of the manifest and of everything that it names."""
    content = json.loads(_path(layout, manifest).read_text())
    return [manifest, content["config"]["digest"], *(layer["digest"] for layer in content["layers"])]


def _path(layout: Path, digest: str) -> Path:
    return layout / "blobs" / Path(*digest.split(":"))
