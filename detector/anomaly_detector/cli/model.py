"""`anomaly-detector model check`: whether a model that somebody brings can be used, by the very check that the cluster runs."""

import argparse
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from anomaly_api.model import AnomalyModel
from anomaly_api.verification import VerificationOrder, VerificationResult
from anomaly_detector.cli.errors import CommandError
from anomaly_detector.verification.check import verify, verify_archive

MODEL_FILE: Final = "model.tar"
MANIFEST: Final = "manifest.json"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    commands = parser.add_subparsers(dest="what", required=True, metavar="check|pack")
    check = commands.add_parser("check", help="check an archive, or a folder of manifest.json and graphs")
    check.add_argument("path", metavar="FILE|FOLDER", type=Path)
    check.add_argument("--model", metavar="YAML", type=Path, help="compare with the AnomalyModel in this file")
    pack = commands.add_parser("pack", help="make the archive of a folder with manifest.json and a graph for each window")
    pack.add_argument("path", metavar="FOLDER", type=Path)
    pack.add_argument("--to", metavar="FILE", type=Path, default=Path(MODEL_FILE), help="where it goes (./model.tar)")


def run(asked: argparse.Namespace) -> int:
    """0 where the model can be used, 1 where not. Raises CommandError."""
    archive = _archive(asked.path)
    result = _compared(archive, asked.model) if asked.what == "check" and asked.model else verify_archive(archive)
    print(f"{asked.path}: {'ok' if result.verified else result.reason.value}: {result.message}")
    if result.verified:
        if asked.what == "pack":
            asked.to.write_bytes(archive)
        print(f"{result.digest}  {result.size_bytes:,} bytes, checked in {result.seconds:g} s")
    return 0 if result.verified else 1


def _archive(path: Path) -> bytes:
    """The archive, or what a folder would be as one."""
    try:
        if not path.is_dir():
            return path.read_bytes()
        if not (path / MANIFEST).exists() or (path / MODEL_FILE).exists():
            return (path / MODEL_FILE).read_bytes()
        return _packed(path)
    except OSError as error:
        raise CommandError(f"{error.filename or path}: {error.strerror}") from error


def _packed(folder: Path) -> bytes:
    """A folder as an archive; digests of graphs are written into the manifest. Whether it makes sense is not asked here."""
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        windows = [str(window["name"]) for window in manifest["interface"]["windows"]]
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{folder / MANIFEST}: it has no interface.windows with names ({error})") from error
    if any("/" in window for window in windows):
        raise CommandError(f"{folder / MANIFEST}: a window's name has no slash")
    graphs = {window: (folder / f"{window}.onnx").read_bytes() for window in windows}
    manifest["graphs"] = {window: hashlib.sha256(graph).hexdigest() for window, graph in graphs.items()}
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in [(MANIFEST, text.encode()), *((f"{window}.onnx", graph) for window, graph in graphs.items())]:
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o444
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _compared(archive: bytes, path: Path) -> VerificationResult:
    try:
        documents = [each for each in yaml.safe_load_all(path.read_text(encoding="utf-8")) if isinstance(each, dict)]
        document = next(each for each in documents if each.get("kind") == "AnomalyModel")
        spec = AnomalyModel.model_validate(document).spec
    except (OSError, yaml.YAMLError, StopIteration, ValidationError) as error:
        raise CommandError(f"{path}: it has no AnomalyModel that can be read: {str(error) or 'there is none in it'}") from error
    order = VerificationOrder(location=str(path), digest=spec.digest, interface=spec.interface)
    return verify(order, lambda _: archive)
