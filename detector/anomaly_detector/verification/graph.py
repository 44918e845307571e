"""What a graph must not have, told from its bytes alone: before any runtime has loaded it.

Numbers in comments are those of fields in onnx.proto3 (ONNX 1.19).
"""

import math
from collections.abc import Iterator
from typing import Final

from msgspec import Struct, field

from anomaly_api.verification import VerificationReason
from anomaly_detector.core.scoring.artifact import InvalidArtifactError, ModelArtifact
from anomaly_detector.core.scoring.graphs import GRAPH_INPUT, GRAPH_OUTPUTS, GRAPH_TIMES
from anomaly_detector.verification.protobuf import TruncatedError, fields, message, numbers, text

OLDEST_OPSET: Final = 11
NEWEST_OPSET: Final = 24
"""Between them ONNX Runtime's operators are settled; a test asks it."""
MAX_GRAPH_BYTES: Final = 64 * 1024 * 1024
MAX_NODES: Final = 20_000
MAX_ELEMENTS: Final = 16_000_000
"""Of one tensor in the graph."""
_MAX_DEPTH: Final = 4
"""Of graphs in graphs."""
_DOMAINS: Final = ("", "ai.onnx", "ai.onnx.ml")
_ENDLESS: Final = frozenset({"Loop"})
_RANDOM: Final = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"})
_BYTES_EACH: Final = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2}
"""Of a number in raw_data, by TensorProto.DataType; of smaller ones several are in a byte."""
_TYPED_DATA: Final = (4, 5, 6, 7, 10, 11)
_EXTERNAL: Final = 1


class Finding(Struct, frozen=True):
    """Something that keeps a model from being used."""

    reason: VerificationReason
    message: str


class _Seen(Struct):
    """What a walk through a graph has met."""

    nodes: int = 0
    operators: set[tuple[str, str]] = field(default_factory=set)
    """Domain and type."""
    external: set[str] = field(default_factory=set)
    """Names of tensors that are kept in other files."""
    unsound: list[str] = field(default_factory=list)
    """Tensors that are not what their shape says, or larger than is allowed."""
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    initializers: set[str] = field(default_factory=set)
    opsets: dict[str, int] = field(default_factory=dict)
    functions: int = 0
    graphs: int = 0


def findings(window: str, content: bytes) -> list[Finding]:
    """What is wrong with the graph of a window; empty where a runtime may try it."""
    if len(content) > MAX_GRAPH_BYTES:
        said = f"the graph of window {window} has {len(content):,} bytes, and at most {MAX_GRAPH_BYTES:,} are allowed"
        return [Finding(VerificationReason.TOO_LARGE, said)]
    try:
        seen = _model(memoryview(content))
    except TruncatedError as error:
        said = f"the graph of window {window} is no whole ONNX file: {error}. Was it cut off while it was copied?"
        return [Finding(VerificationReason.ARTIFACT_INVALID, said)]
    return list(_judged(window, seen))


def sound(artifact: ModelArtifact) -> ModelArtifact:
    """The artifact, where a runtime may try all of its graphs. Raises InvalidArtifactError."""
    for window, content in artifact.graphs.items():
        for found in findings(window, content):
            raise InvalidArtifactError(found.message)
    return artifact


def _judged(window: str, seen: _Seen) -> Iterator[Finding]:
    where = f"the graph of window {window}"
    if seen.graphs != 1:
        yield Finding(VerificationReason.ARTIFACT_INVALID, f"{where} is no ONNX file: it has {seen.graphs} graphs and not one")
        return
    yield from _operators(where, seen)
    if seen.external:
        said = f"{where} keeps tensor {min(seen.external)} in another file: save it as one file (save_as_external_data=False)"
        yield Finding(VerificationReason.EXTERNAL_DATA, said)
    if seen.nodes > MAX_NODES:
        yield Finding(VerificationReason.TOO_LARGE, f"{where} has {seen.nodes:,} nodes, and at most {MAX_NODES:,} are allowed")
    yield from (Finding(VerificationReason.TOO_LARGE, f"{where}: {said}") for said in seen.unsound[:1])
    yield from _ends(where, seen)


def _operators(where: str, seen: _Seen) -> Iterator[Finding]:
    opset = seen.opsets.get("", seen.opsets.get("ai.onnx"))
    allowed = f"export it with an opset from {OLDEST_OPSET} to {NEWEST_OPSET}"
    if opset is None:
        yield Finding(VerificationReason.OPSET_NOT_SUPPORTED, f"{where} does not say of which opset it is: {allowed}")
    elif not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        yield Finding(VerificationReason.OPSET_NOT_SUPPORTED, f"{where} is of opset {opset}: {allowed}")
    custom = sorted(f"{domain}.{kind}" for domain, kind in seen.operators if domain not in _DOMAINS)
    if custom or seen.functions:
        what = f"operator {custom[0]}" if custom else "functions of its own"
        said = f"{where} has {what}: only ONNX's own operators (ai.onnx, ai.onnx.ml) are run; inline functions before the export"
        yield Finding(VerificationReason.OPERATORS_NOT_ALLOWED, said)
    kinds = {kind for _, kind in seen.operators}
    endless = "may turn without end: unroll it, or use Scan or a recurrent operator"
    for refused, why in ((_ENDLESS, endless), (_RANDOM, "is random")):
        if kinds & refused:
            said = f"{where} has operator {min(kinds & refused)}, which {why}"
            yield Finding(VerificationReason.OPERATORS_NOT_ALLOWED, said)


def _ends(where: str, seen: _Seen) -> Iterator[Finding]:
    """Inputs and outputs by name; shapes are the trial's."""
    given = [name for name in seen.inputs if name not in seen.initializers]
    missing = [name for name in GRAPH_OUTPUTS[:2] if name not in seen.outputs]
    other = [name for name in given if name not in (GRAPH_INPUT, GRAPH_TIMES)]
    if GRAPH_INPUT not in given:
        said = f"{where} has no input {GRAPH_INPUT} (it has {_listed(given)})"
        yield Finding(VerificationReason.INTERFACE_MISMATCH, said)
    elif other:
        said = f"{where} wants an input {other[0]}; it is given {GRAPH_INPUT}, and {GRAPH_TIMES} where it has that input"
        yield Finding(VerificationReason.INTERFACE_MISMATCH, said)
    if missing:
        said = f"{where} has no output {' and no output '.join(missing)} (it has {_listed(seen.outputs)})"
        yield Finding(VerificationReason.INTERFACE_MISMATCH, said)


def _listed(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:5]) or "none"


def _model(content: memoryview) -> _Seen:
    seen = _Seen()
    for number, value in fields(content):
        if number == 7:  # graph
            seen.graphs += 1
            _graph(message(value), seen, 0)
        elif number == 8:  # opset_import
            domain, version = "", 0
            for inner, part in fields(message(value)):
                domain, version = (text(part), version) if inner == 1 else (domain, part if isinstance(part, int) else 0)
            seen.opsets[domain] = version
        elif number == 25:  # functions
            seen.functions += 1
    return seen


def _graph(content: memoryview, seen: _Seen, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise TruncatedError(f"graphs lie in graphs, more than {_MAX_DEPTH} deep")
    for number, value in fields(content):
        if number == 1:
            _node(message(value), seen, depth)
        elif number == 5:  # initializer
            seen.initializers.add(_tensor(message(value), seen))
        elif number == 15:  # sparse_initializer
            _sparse(message(value), seen)
        elif number in (11, 12) and depth == 0:
            name = next((text(part) for inner, part in fields(message(value)) if inner == 1), "")
            (seen.inputs if number == 11 else seen.outputs).append(name)


def _node(content: memoryview, seen: _Seen, depth: int) -> None:
    seen.nodes += 1
    domain = kind = ""
    for number, value in fields(content):
        if number == 4:
            kind = text(value)
        elif number == 7:
            domain = text(value)
        elif number == 5:
            _attribute(message(value), seen, depth)
    seen.operators.add((domain, kind))


def _attribute(content: memoryview, seen: _Seen, depth: int) -> None:
    for number, value in fields(content):
        if number in (5, 10):  # tensors
            _tensor(message(value), seen)
        elif number in (6, 11):  # graphs
            _graph(message(value), seen, depth + 1)
        elif number in (22, 23):
            _sparse(message(value), seen)


def _sparse(content: memoryview, seen: _Seen) -> None:
    dims: list[int] = []
    for number, value in fields(content):
        if number in (1, 2):
            _tensor(message(value), seen)
        elif number == 3:
            dims += numbers(value)
    if math.prod(dims) > MAX_ELEMENTS:
        seen.unsound.append(f"a sparse tensor has {math.prod(dims):,} numbers, and at most {MAX_ELEMENTS:,} are allowed")


def _tensor(content: memoryview, seen: _Seen) -> str:
    """The tensor's name."""
    found = list(fields(content))
    name = next((text(value) for number, value in found if number == 8), "")
    if any(number == 13 or (number == 14 and value == _EXTERNAL) for number, value in found):
        seen.external.add(name)
        return name
    count = math.prod(dim for number, value in found if number == 1 for dim in numbers(value))
    kind = next((value for number, value in found if number == 2 and isinstance(value, int)), 0)
    raw = next((len(message(value)) for number, value in found if number == 9), None)
    typed = sum(len(value) if isinstance(value, memoryview) else 1 for number, value in found if number in _TYPED_DATA)
    if count > MAX_ELEMENTS:
        seen.unsound.append(f"tensor {name} has {count:,} numbers, and at most {MAX_ELEMENTS:,} are allowed")
    elif raw is not None and kind in _BYTES_EACH and raw != count * _BYTES_EACH[kind]:
        seen.unsound.append(f"tensor {name} is to have {count:,} numbers, and has {raw:,} bytes")
    elif raw is None and kind in _BYTES_EACH and count > 2 * typed:
        seen.unsound.append(f"tensor {name} is to have {count:,} numbers, and {typed:,} bytes of them are there")
    return name
