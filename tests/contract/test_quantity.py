"""Quantities come to what Kubernetes takes them for."""

from __future__ import annotations

from decimal import Decimal

import pytest

from anomaly_api.quantity import amount


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("256Mi", 256 * 1024**2),
        ("1.5Gi", 1536 * 1024**2),
        ("1G", 10**9),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("500m", Decimal("0.5")),
        (".5k", 500),
        ("5.", 5),
        (4096, 4096),
        ("-1", -1),
    ],
)
def test_a_quantity_comes_to(written: str | int, meant: int | Decimal) -> None:
    assert amount(written) == meant


@pytest.mark.parametrize("written", ["", "Mi", "1 Gi", "1MB", "1.2.3", "٣Mi", "1Mi\n"])
def test_what_is_no_quantity_is_refused_with_an_example(written: str) -> None:
    with pytest.raises(ValueError, match="256Mi"):
        amount(written)
