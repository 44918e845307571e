"""A checkpoint's pieces: none is larger than a message may be, whatever the entities are called, and together they are it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly_detector.core.state.checkpoint import PIECE_BYTES, CheckpointError, pack, unpack


def state(names: list[str], width: int = 3) -> dict[str, Any]:
    count = len(names)
    rng = np.random.default_rng(count)
    return {
        "names": names,
        "entities": {"stamps": np.arange(count)},
        "horizon": np.array([7]),
        "traces": np.frombuffer(b"x" * 1000, "V1000"),
        "windows": {"values": rng.normal(0, 1, (count, width)).astype(np.float32), "full": np.ones(count, bool)},
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        same(one[name], other[name])
        if isinstance(one[name], dict)
        else one[name] == other[name]
        if name == "names"
        else (one[name].dtype, one[name].tobytes()) == (other[name].dtype, other[name].tobytes())
        for name in one
    )


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=40), max_size=30), st.integers(1, 500))
def test_pieces_of_any_size_are_the_state(names: list[str], most: int) -> None:
    whole = state(names)
    pieces = list(pack(whole, most))
    assert all(len(piece) == most for piece in pieces[:-1])
    assert 0 < len(pieces[-1]) <= most
    assert same(unpack(pieces), whole)


def test_no_piece_is_too_large_where_some_names_are_long() -> None:
    names = [f"{place}" for place in range(60_000)] + [f"{place:x>489}" for place in range(3_500)]
    whole = state(names)
    pieces = list(pack(whole))
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert same(unpack(pieces), whole)


def test_no_piece_is_too_large_where_one_entity_is() -> None:
    whole = state(["pump-1", "pump-2"], width=1024 * 128 * 8)  # eight windows of 1,024 readings of 128 features
    pieces = list(pack(whole))
    assert max(map(len, pieces)) <= PIECE_BYTES
    assert same(unpack(pieces), whole)


@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_piece_that_is_missing_is_found_out(lost: int) -> None:
    pieces = list(pack(state([f"pump-{place}" for place in range(200)]), 2_000))
    del pieces[lost]
    with pytest.raises(CheckpointError):
        unpack(pieces)
