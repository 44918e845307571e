"""Commits over a network of which half fails; `python -m dev.verify.torture.commits --seconds 600` for longer."""

from __future__ import annotations

import pytest

from dev.verify.torture.commits import play

SECONDS = 15.0


@pytest.mark.integration
def test_commits_in_the_middle_of_which_connections_fail_leave_each_record_once_and_in_order() -> None:
    found = play(SECONDS, seed=1)
    assert found.sound, found
    assert found.commits > 5
