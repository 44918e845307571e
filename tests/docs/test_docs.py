"""The words for people stay true: links lead somewhere, commands exist, every condition's reason is explained."""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
LONGEST_README = 150


def reasons() -> Iterator[str]:
    """Returns every reason that the operator's code gives to a condition: the second argument of a condition with a status."""
    for path in (ROOT / "operator/anomaly_operator").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and len(node.args) >= 3:
                status, reason = node.args[:2]
                if (
                    isinstance(status, ast.Constant)
                    and status.value in ("True", "False", "Unknown")
                    and isinstance(reason, ast.Constant)
                ):
                    yield str(reason.value)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert "://" in link or (page.parent / link).exists(), f"{page.name} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_exist(page: Path) -> None:
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {target for each in targets for target in each.split()}
    assert set(re.findall(r"`make ([a-z-]+)", text)) <= known
    for module in re.findall(r"python -m ((?:dev|anomaly_\w+)[\w.]*)", text):
        assert importlib.util.find_spec(module), f"{page.name} names {module}"


def test_every_reason_of_a_condition_is_explained() -> None:
    explained = (ROOT / "docs/conditions.md").read_text()
    assert sorted({reason for reason in reasons() if f"`{reason}`" not in explained} - {"Ready"}) == []


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README
