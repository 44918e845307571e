"""The OCI layout where built images wait, each blob once; and the archive of those that a cluster lacks.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import tarfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

REF = "org.opencontainers.image.ref.name"
UNCOMPRESSED = "application/vnd.oci.image.layer.v1.tar"
KEPT = 3  # the last so many images of a kind stay, for other clones; older ones can be made again


def full_name(name: str) -> str:
    """As Kubernetes resolves a name without a registry."""
    return f"docker.io/{name}"


@contextmanager
def locked(layout: Path) -> Iterator[None]:
    """One process at a time reads or changes the layout."""
    layout.mkdir(parents=True, exist_ok=True)
    with layout.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def holds(layout: Path, name: str) -> bool:
    return _find(layout, name) is not None


def add_source(layout: Path, before: str, name: str, layer: bytes) -> None:
    """Adds the image `name`: the image `before` with its last layer replaced. The caller holds the lock."""
    entry = _find(layout, before)
    assert entry is not None, before
    manifest = json.loads(_path(layout, entry["digest"]).read_text())
    config = json.loads(_path(layout, manifest["config"]["digest"]).read_text())
    replaced = _put(layout, layer)
    config["rootfs"]["diff_ids"][-1] = replaced["digest"]
    manifest["layers"][-1] = {"mediaType": UNCOMPRESSED, **replaced}
    manifest["config"].update(_put(layout, json.dumps(config).encode()))
    added = {"mediaType": entry["mediaType"], **_put(layout, json.dumps(manifest).encode())}
    _write_index(layout, [*_entries(layout), {**added, "annotations": {REF: full_name(name)}}])


def write_archive(layout: Path, names: Iterable[str], present: Collection[str], into: IO[bytes]) -> None:
    """A tar of the named images; blobs that are `present` (by digest) at the other end are left out."""
    wanted = {full_name(name) for name in names}
    entries = [entry for entry in _entries(layout) if entry["annotations"].get(REF) in wanted]
    blobs = {digest for entry in entries for digest in _blobs(layout, entry["digest"])}
    with tarfile.open(fileobj=into, mode="w|") as tar:
        tar.add(layout / "oci-layout", "oci-layout")
        index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
        described = tarfile.TarInfo("index.json")
        described.size = len(index)
        tar.addfile(described, io.BytesIO(index))
        for digest in sorted(blobs - set(present)):
            tar.add(_path(layout, digest), f"blobs/{digest.replace(':', '/')}")


def prune(layout: Path) -> None:
    """Drops all but the newest images of each kind, and the blobs that only they had. The caller holds the lock."""
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for entry in _entries(layout):  # in the order in which they were added
        by_kind.setdefault(entry["annotations"].get(REF, "").rpartition("-")[0], []).append(entry)
    kept = [entry for entries in by_kind.values() for entry in entries[-KEPT:]]
    _write_index(layout, kept)
    used = {_path(layout, digest) for entry in kept for digest in _blobs(layout, entry["digest"])}
    for blob in (layout / "blobs" / "sha256").iterdir():
        if blob not in used:
            blob.unlink()


def _find(layout: Path, name: str) -> dict[str, Any] | None:
    return next((entry for entry in _entries(layout) if entry["annotations"].get(REF) == full_name(name)), None)


def _entries(layout: Path) -> list[dict[str, Any]]:
    index = layout / "index.json"
    entries: list[dict[str, Any]] = json.loads(index.read_text())["manifests"] if index.exists() else []
    return entries


def _write_index(layout: Path, entries: list[dict[str, Any]]) -> None:
    replacement = layout / "index.json.new"
    replacement.write_text(json.dumps({"schemaVersion": 2, "manifests": entries}))
    replacement.rename(layout / "index.json")


def _put(layout: Path, content: bytes) -> dict[str, Any]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    _path(layout, digest).write_bytes(content)
    return {"digest": digest, "size": len(content)}


def _blobs(layout: Path, manifest: str) -> list[str]:
    """Digests of the manifest and of everything that it names."""
    content = json.loads(_path(layout, manifest).read_text())
    return [manifest, content["config"]["digest"], *(layer["digest"] for layer in content["layers"])]


def _path(layout: Path, digest: str) -> Path:
    return layout / "blobs" / Path(*digest.split(":"))
