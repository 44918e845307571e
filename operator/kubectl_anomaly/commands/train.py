"""`kubectl anomaly train NAME`: asks for a training now, whatever the spec's schedule says."""

import argparse
import secrets
import time

from anomaly_api.meta import ANNOTATION_TRAIN
from kubectl_anomaly.exits import Exit
from kubectl_anomaly.kubectl import DETECTORS, Kubectl
from kubectl_anomaly.printing import name_of, structured


def arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's own."""
    parser.add_argument("name", metavar="NAME", help="the detector")


def run(asked: argparse.Namespace, kubectl: Kubectl) -> int:
    """Raises PluginError."""
    token = f"{time.strftime('%Y-%m-%dT%H-%M-%SZ', time.gmtime())}-{secrets.token_hex(2)}"
    changed = kubectl.patch(DETECTORS, asked.name, {"metadata": {"annotations": {ANNOTATION_TRAIN: token}}})
    if asked.output == "name":
        print(name_of(changed))
    elif asked.output:
        print(structured(changed, asked.output))
    else:
        print(f"{asked.name}: a training was asked for ({token}); `kubectl anomaly status {asked.name} --watch` shows it")
    return Exit.DONE
