"""containerd's folder with the images' packages unpacked in it, made once and linked into every new cluster.

Unpacking 2 GB takes half a minute; linking the unpacked files takes a second. containerd never changes a file of an
image, so links are safe; its databases are copied.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from dev.environment import cache
from dev.environment.cluster import node
from dev.environment.images import engine, layout
from dev.environment.images.context import Image
from dev.environment.supervision.kernel import die_with_parent
from dev.environment.supervision.readiness import answers
from dev.progress import Tell, telling


def prepared(images: Sequence[Image], tell: Tell) -> Path:
    """The folder to seed a cluster with; the images are built if they are not."""
    for image in images:
        engine.buildah_build(image, tell)
    names = [image.without_source for image in images]
    version = subprocess.run(["containerd", "--version"], capture_output=True, text=True, check=True).stdout
    return cache.made("containerd", cache.digest(version, *names), lambda into: _unpack(into, names, tell))


def _unpack(into: Path, names: list[str], tell: Tell) -> None:
    with telling(tell, "unpacking the images for all clusters to come"):
        archive = into / "images.tar"
        with layout.locked(engine.layout_folder()), archive.open("wb") as tar:
            layout.write_archive(engine.layout_folder(), names, (), tar)
        containerd = ["containerd", "--config", node.containerd_settings(into), "--log-level=error"]
        own_namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", *containerd]
        with subprocess.Popen(own_namespaces, stderr=subprocess.DEVNULL, preexec_fn=die_with_parent) as process:
            try:
                _wait(f"unix://{node.containerd_socket(into)}")
                node.ctr(into, "images", "import", str(archive))
            finally:
                process.kill()
        archive.unlink()


def _wait(address: str, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not answers(address):
        if time.monotonic() > until:
            raise RuntimeError(f"containerd does not answer at {address} after {seconds:.0f} s")
        time.sleep(0.05)


def seed(store: Path, folder: Path) -> None:
    """Links the store into a cluster's empty folder; copies it where they are on different disks."""
    source, target = store / node.CONTAINERD, folder / node.CONTAINERD
    linked = subprocess.run(["cp", "--archive", "--link", str(source), str(target)], capture_output=True, check=False)
    if linked.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cp", "--archive", str(source), str(target)], check=True)
        return
    for database in source.rglob("*.db"):
        copy = target / database.relative_to(source)
        copy.unlink()
        shutil.copy2(database, copy)
