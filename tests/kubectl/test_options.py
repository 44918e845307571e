"""Options of kubectl stand wherever people put them."""

from __future__ import annotations

import pytest

from kubectl_anomaly.__main__ import parser


@pytest.mark.parametrize(
    "given",
    [
        ["-n", "plant", "model", "list"],
        ["model", "-n", "plant", "list"],
        ["model", "list", "-n", "plant"],
        ["model", "show", "pumps", "-n", "plant"],
        ["model", "report", "pumps", "--namespace=plant"],
        ["status", "pumps", "-n", "plant"],
    ],
)
def test_the_namespace_is_read_before_and_after_a_command_and_what_it_is_asked(given: list[str]) -> None:
    command = next(each for each in given if each in ("model", "status"))
    assert parser(command).parse_args(given).namespace == "plant"
