"""Runs the Dockerfile: Docker where an engine answers, else buildah on a base made by debootstrap.

buildah makes the images without our source and keeps its layers in the cache folder; our source, the last layer, is then
compiled by the images' Python and put on top. So a change of the source costs seconds, and new packages cost only what is new,
in any clone.
"""

from __future__ import annotations

import functools
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.environment import cache, debian
from dev.environment.images import layout
from dev.environment.images.context import Image, lay_out, source_layer
from dev.environment.supervision.kernel import die_with_parent
from dev.progress import Tell, telling

BASE = "debian:trixie-slim"
LAYERS_KEPT = 200  # about 10 GB
_BASE_NAME = f"docker.io/library/{BASE}"
LAYOUT = "images"  # an OCI layout: one folder for all images, whose common layers are kept once
PACKAGES = ("buildah", "debootstrap")
_QUICK = ("--compression-format", "zstd", "--compression-level", "1")
"""Of the layers, which never leave the machine: a third less of CPU than gzip when they are packed, and again when unpacked."""
_DPKG = """force-unsafe-io
path-exclude /usr/share/doc/*
path-exclude /usr/share/man/*
path-exclude /usr/share/locale/*
"""
"""As in Docker's own slim images. Without it, dpkg waits for the disk after each of torch's thousands of files."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@functools.cache
def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def docker_build(image: Image, tell: Tell) -> None:
    with telling(tell, f"building {image.name}"), _context(sources=True) as context:
        options = ["--file", str(context / "Dockerfile"), "--target", image.target, "--tag", image.name]
        _checked(["docker", "build", "--quiet", *options, *_authorities(), str(context)], DOCKER_BUILDKIT="1")


def layout_folder() -> Path:
    """Where buildah's images wait, as an OCI layout."""
    return cache.root() / LAYOUT


def buildah_build(image: Image, tell: Tell) -> None:
    """Makes what is not in the layout: minutes without the packages, seconds when only our source is new."""
    folder = layout_folder()
    with layout.locked(folder):
        if layout.holds(folder, image.name):
            return
        debian.need(PACKAGES, tell)
        _have_base(tell)
        if not layout.holds(folder, image.without_source):
            _build_recipe(image, tell)
        with telling(tell, f"building {image.name}"):
            layout.add_source(folder, image.without_source, image.name, _source(image))
            layout.prune(folder)


def _build_recipe(image: Image, tell: Tell) -> None:
    with telling(tell, f"installing the packages of the {image.target}'s image"), _context(sources=False) as context:
        _bud(context, image.target, "--tag", image.without_source)
        _buildah("push", *_QUICK, image.without_source, f"oci:{layout_folder()}:{layout.full_name(image.without_source)}")
        if len(_buildah("images", "--all", "--quiet").split()) > LAYERS_KEPT:
            _buildah("rmi", "--all", "--force")  # the next change of a package takes minutes again, once


def _source(image: Image) -> bytes:
    """The layer with our source, compiled."""
    with _context(sources=True) as context, tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "sources.tar"
        _bud(context, "sources", "--output", f"type=tar,dest={made}")
        return source_layer(image.target, made)


def _bud(context: Path, target: str, *options: str) -> None:
    build = ["bud", "--layers", "--isolation", "chroot", "--pull-never", "--file", str(context / "Dockerfile")]
    _buildah(*build, "--target", target, *options, *_authorities(), str(context))


def _have_base(tell: Tell) -> None:
    if _BASE_NAME in _buildah("images", "--format", "{{.Name}}:{{.Tag}}").split():
        return
    with telling(tell, f"making {BASE} with debootstrap (under a minute, once)"), tempfile.TemporaryDirectory() as work:
        root = Path(work) / "root"
        (root / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True)
        (root / "etc/dpkg/dpkg.cfg.d/docker").write_text(_DPKG)  # obeyed by debootstrap's own dpkg, too
        _checked(["debootstrap", "--variant=minbase", "trixie", str(root), "http://deb.debian.org/debian"])
        for emptied in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / emptied, ignore_errors=True)
        container = _buildah("from", "scratch").strip()
        _buildah("copy", container, str(root), "/")
        _buildah("config", "--cmd", "bash", "--env", f"PATH={_PATH}", container)
        _buildah("commit", "--rm", container, _BASE_NAME)
        _buildah("tag", _BASE_NAME, f"localhost/{BASE}")  # which of the two is meant depends on the machine's settings


def _authorities() -> list[str]:
    """The certificates that this machine trusts, as a build secret."""
    for path in (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile):
        if path and Path(path).is_file():
            return ["--secret", f"id=ca,src={path}"]
    return []


@contextmanager
def _context(*, sources: bool) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder), sources=sources)
        yield Path(folder)


def _buildah(*arguments: str) -> str:
    """In mounts of its own, so that one that is interrupted leaves none behind."""
    storage = ["--root", str(cache.root() / "buildah"), "--runroot", "/var/tmp/anomaly-operator-buildah"]
    return _checked(["unshare", "--mount", "buildah", *storage, "--storage-driver", "overlay", *arguments])


def _checked(command: list[str], **environment: str) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        preexec_fn=die_with_parent if sys.platform == "linux" else None,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout
