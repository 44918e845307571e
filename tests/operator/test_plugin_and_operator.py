"""`kubectl anomaly` and an operator: what people see of a detector, and what the operator answers."""

from __future__ import annotations

import pytest
import yaml

from kubectl_anomaly.__main__ import main
from kubectl_anomaly.exits import Exit
from tests.operator.running import Plant, eventually

pytestmark = pytest.mark.integration
DETECTOR = "anomalydetector"


def test_detectors_are_listed_shown_and_trained(served: Plant, capsys: pytest.CaptureFixture[str]) -> None:
    def types(*words: str) -> tuple[int, str, str]:
        status = main(["--kubeconfig", served.cluster.kubeconfig, "-n", served.namespace, *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    assert types("list")[1].startswith("no detectors here")
    served.detector()
    eventually(lambda: served.condition("Ready")["reason"] == "Training")
    status, listed, _ = types("list")
    assert (status, listed.splitlines()[1].split()[:3]) == (Exit.DONE, ["pumps", "NotReady", "Training"])
    assert types("list", "-o", "name")[1] == "anomalydetector.anomaly-operator.dev/pumps\n"
    assert yaml.safe_load(types("list", "-o", "yaml")[1])["items"][0]["metadata"]["name"] == "pumps"
    status, tree, _ = types("status", "pumps")
    assert status == Exit.UNDER_WAY
    assert "◉ pumps" in tree
    assert "until there is a model" in tree
    status, _, said = types("status", "pumps", "--wait", "--timeout", "1")
    assert (status, "NotReady (Training)" in said) == (Exit.TIMEOUT, True)
    status, _, said = types("history", "pumps")
    assert status == Exit.DONE
    before = served.get(DETECTOR, "pumps")
    assert before is not None
    assert types("train", "pumps")[0] == Exit.DONE
    after = served.get(DETECTOR, "pumps")
    assert after is not None
    assert after["metadata"]["annotations"]["anomaly-operator.dev/train"]
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    status, _, said = types("abort", "pumps")
    assert status == Exit.REFUSED, "there is nothing to abort, says the operator"
    assert "has not answered" not in said
