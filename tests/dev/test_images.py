"""Images: what makes a new one, and what of it is made again."""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dev.environment.images import TARGETS, image, layout
from dev.environment.images.context import HERE, SOURCES, lay_out, source_layer


def _put(folder: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    (folder / "blobs" / "sha256" / digest).write_bytes(content)
    return f"sha256:{digest}"


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A layout with one image of two layers, packages and an empty source."""
    folder = tmp_path / "images"
    (folder / "blobs" / "sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    layers = [_put(folder, b"packages"), _put(folder, b"no source")]
    config = _put(folder, json.dumps({"rootfs": {"diff_ids": layers}}).encode())
    described = [{"digest": digest, "size": 9, "mediaType": "any"} for digest in layers]
    manifest = {"config": {"digest": config, "size": 1, "mediaType": "any"}, "layers": described}
    entry = {
        "mediaType": "any",
        "digest": _put(folder, json.dumps(manifest).encode()),
        "annotations": {layout.REF: layout.full_name("operator:recipe-1")},
    }
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    return folder


def _archive(folder: Path, name: str, present: set[str]) -> dict[str, Any]:
    packed = io.BytesIO()
    layout.write_archive(folder, [name], present, packed)
    packed.seek(0)
    with tarfile.open(fileobj=packed) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]


def test_a_new_source_replaces_the_last_layer_and_keeps_the_packages(built: Path) -> None:
    layout.add_source(built, "operator:recipe-1", "operator:dev-1", b"source")
    files = _archive(built, "operator:dev-1", set())
    (entry,) = json.loads(files["index.json"])["manifests"]
    manifest = json.loads(files[f"blobs/{entry['digest'].replace(':', '/')}"])
    assert [files[f"blobs/{layer['digest'].replace(':', '/')}"] for layer in manifest["layers"]] == [b"packages", b"source"]
    config = json.loads(files[f"blobs/{manifest['config']['digest'].replace(':', '/')}"])
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_an_archive_leaves_out_what_the_other_end_has(built: Path) -> None:
    present = f"sha256:{hashlib.sha256(b'packages').hexdigest()}"
    assert b"packages" in _archive(built, "operator:recipe-1", set()).values()
    assert b"packages" not in _archive(built, "operator:recipe-1", {present}).values()


def test_the_oldest_images_of_a_kind_go_and_what_others_need_stays(built: Path) -> None:
    names = [f"operator:dev-{number}" for number in range(layout.KEPT + 1)]
    for name in names:
        layout.add_source(built, "operator:recipe-1", name, name.encode())
    layout.prune(built)
    assert [layout.holds(built, name) for name in names] == [False] + [True] * layout.KEPT
    assert layout.holds(built, "operator:recipe-1")
    contents = {blob.read_bytes() for blob in (built / "blobs" / "sha256").iterdir()}
    assert names[0].encode() not in contents
    assert {b"packages", names[1].encode()} <= contents


@pytest.mark.parametrize("target", TARGETS)
def test_the_source_is_the_last_layer_of_its_target(target: str) -> None:
    stages = re.split(r"^FROM ", (HERE / "Dockerfile").read_text(), flags=re.MULTILINE)
    (stage,) = [stage for stage in stages if stage.splitlines()[0].endswith(f" AS {target}")]
    assert stage.strip().splitlines()[-1] == f"COPY --from=compiled /sources/{target} /opt/anomaly-operator"


@pytest.mark.parametrize("target", TARGETS)
def test_the_layer_of_the_source_holds_the_target_s_part_of_what_was_made(target: str, tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    lay_out(context, sources=True)
    made = tmp_path / "made.tar"
    with tarfile.open(made, "w") as tar:
        tar.add(context / "sources", arcname=".")
    sources = context / "sources" / target
    wanted = {str(file.relative_to(sources)): file.read_bytes() for file in sources.rglob("*") if file.is_file()}
    with tarfile.open(fileobj=io.BytesIO(source_layer(target, made))) as tar:
        packed = {
            member.name.removeprefix("opt/anomaly-operator/"): tar.extractfile(member).read()  # type: ignore[union-attr]
            for member in tar
            if member.isfile()
        }
    assert packed == wanted
    assert {name.split("/")[0] for name in packed} == {source.name for source in SOURCES[target]}


def test_the_trainer_and_the_detector_share_their_source_but_not_their_name() -> None:
    assert image("trainer").source == image("detector").source
    assert image("trainer").name != image("detector").name
