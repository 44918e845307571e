"""The cache of what costs minutes: made once, never seen half-made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dev.environment import cache


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_what_was_made_is_not_made_again() -> None:
    made: list[Path] = []
    assert cache.made("thing", "1", made.append) == cache.made("thing", "1", made.append)
    assert len(made) == 1


def test_what_failed_half_way_is_made_again_from_nothing() -> None:
    def fail(into: Path) -> None:
        (into / "half").touch()
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        cache.made("thing", "1", fail)
    folder = cache.made("thing", "1", lambda into: (into / "whole").touch())
    assert [file.name for file in folder.iterdir()] == ["whole"]


def test_only_the_last_used_of_a_kind_are_kept() -> None:
    other = cache.made("other", "1", lambda into: into.touch())
    os.utime(other, (0, 0))
    folders = []
    for number in range(cache.KEPT):
        folders.append(cache.made("thing", str(number), lambda into: into.touch()))
        os.utime(folders[-1], (number, number))
    folders.append(cache.made("thing", "new", lambda into: into.touch()))
    assert [folder.exists() for folder in folders] == [False] + [True] * cache.KEPT
    assert other.exists()


def test_the_digest_follows_content_and_names(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_text("x")
    first = cache.digest(source)
    (source / "a").rename(source / "b")
    renamed = cache.digest(source)
    (source / "b").write_text("y")
    assert len({first, renamed, cache.digest(source)}) == 3
