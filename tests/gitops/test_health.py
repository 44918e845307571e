"""Argo CD's and Flux's own code, and the Lua that we ship for Argo CD, agree with the truth in every phase of a detector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from anomaly_api.rollout_status import RolloutCommand
from tests.kubectl.phases import STORIES, detector
from tests.plan.rollouts import ALIKE, act

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
TRUTH = {
    "new": ("InProgress", "Progressing"),
    "waiting": ("InProgress", "Progressing"),
    "ready": ("Current", "Healthy"),
    "edited": ("InProgress", "Progressing"),
    "degraded": ("Failed", "Degraded"),
    "blocked": ("Failed", "Degraded"),
    "paused": ("InProgress", "Suspended"),
    "shadowed": ("InProgress", "Progressing"),
    "weighted": ("InProgress", "Progressing"),
    "asking": ("Current", "Suspended"),
    "aborted": ("Failed", "Degraded"),
}
"""What Flux's kstatus and Argo CD are to say. Who pauses a detector has it not Ready."""
_MOVING = ["abort", "pause", "promote", "promote-full", "train"]
ACTIONS = {
    "shadowed": _MOVING,
    "weighted": _MOVING,
    "asking": ["abort", "promote", "promote-full", "resume", "train"],
    "aborted": ["retry", "train"],
}
"""Those that Argo CD offers, where it is more than a training."""


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    from dev.progress import silent
    from dev.verify.gitops import tools

    argocd = yaml.safe_load((ROOT / "docs" / "gitops" / "argocd-cm.yaml").read_text())
    documents = {name: detector(story()) for name, story in STORIES.items()}
    for document in documents.values():
        document["metadata"]["resourceVersion"] = "7"
    return tools.judged(documents, argocd, silent)


def test_every_phase_is_judged() -> None:
    assert set(TRUTH) == set(STORIES)


@pytest.mark.parametrize("phase", TRUTH)
def test_flux_and_argo_cd_see_the_truth(answers: dict[str, dict[str, Any]], phase: str) -> None:
    said = answers[phase]
    assert (said["kstatus"]["status"], said["argo"]["status"]) == TRUTH[phase], said
    assert said["argo"]["message"]


def test_without_our_lua_argo_cd_has_no_opinion(answers: dict[str, dict[str, Any]]) -> None:
    """So that nothing is called degraded by mistake where nobody has installed it."""
    assert {phase: said["argoWithout"] for phase, said in answers.items()} == dict.fromkeys(TRUTH)


@pytest.mark.parametrize("phase", TRUTH)
def test_argo_cd_offers_what_makes_sense(answers: dict[str, dict[str, Any]], phase: str) -> None:
    usual = [] if phase == "paused" else ["train"]
    assert answers[phase]["actions"] == ACTIONS.get(phase, usual)


@pytest.mark.parametrize("phase", TRUTH)
def test_an_action_changes_what_it_is_about_and_nothing_else(answers: dict[str, dict[str, Any]], phase: str) -> None:
    before = detector(STORIES[phase]())
    before["metadata"]["resourceVersion"] = "7"
    for name, after in answers[phase]["results"].items():
        if name == "train":
            assert after["metadata"].pop("annotations") == {"anomaly-operator.dev/train": "argocd-7"}
        else:
            command = after["status"].pop("command")
            assert command["id"] == "argocd-7"
            assert command["by"] == "Argo CD"
            RolloutCommand.model_validate(command)
            assert command.get("revision") in (None, (before["status"].get("candidate") or {}).get("revision"))
        assert after["spec"] == before["spec"]
        assert after["metadata"] == before["metadata"]


def test_a_commit_that_names_the_candidate_says_go_and_no_other_revision_goes_with_it() -> None:
    world = STORIES["asking"]()
    candidate = world.status["candidate"]["revision"]
    world.edit({"rollout": {"promote": candidate}})
    act(world, **ALIKE)
    assert world.status["candidate"]["phase"] == "Progressing"
    assert world.status["candidate"]["step"] == "5/5"
    world.now += 700
    act(world, **ALIKE)
    assert world.status["stable"]["revision"] == candidate
    world.add_model("pumps-33333333", digit="3")
    act(world)
    act(world, **ALIKE)
    world.now += 700
    act(world, **ALIKE)
    assert world.status["candidate"]["phase"] == "Paused"
