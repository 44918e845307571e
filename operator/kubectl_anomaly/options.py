"""Options that all commands share: those that are handed on to kubectl, and the form of what is printed."""

import argparse
from typing import Any, Final

from kubectl_anomaly.printing import FORMATS

OF_KUBECTL: Final = ("context", "kubeconfig", "as", "as-group", "request-timeout", "cluster", "user")
"""Handed on to kubectl as they are."""


def shared(default: Any) -> argparse.ArgumentParser:
    """Options that stand before or after the command; after it they are not set again where they are not given."""
    found = argparse.ArgumentParser(add_help=False, argument_default=default)
    of_kubectl = found.add_argument_group("of kubectl")
    of_kubectl.add_argument("-n", "--namespace", help="the namespace (default: that of kubectl's context)")
    for name in OF_KUBECTL:
        of_kubectl.add_argument(f"--{name}", metavar="X", help="as kubectl has it")
    of_kubectl.add_argument("-o", "--output", choices=FORMATS, help="for programs")
    return found
