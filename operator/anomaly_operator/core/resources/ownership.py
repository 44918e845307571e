"""Whose an object is: owner references decide, as for Kubernetes' own controllers. Labels only say whom to look for."""

from collections.abc import Mapping
from typing import Any

from anomaly_operator.core.resources.names import ANNOTATION_MANIFEST


def controller(metadata: Mapping[str, Any]) -> str:
    """Uid of the controlling owner; empty where there is none."""
    owners = metadata.get("ownerReferences") or []
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def belongs_to(metadata: Mapping[str, Any], uid: str) -> bool:
    """Whether an object is the detector's (`uid`): it owns it, or nobody does and the operator has made it.

    Objects that the operator has made lose their owner when their detector is deleted with `--cascade=orphan`: the next
    detector of that name adopts them. What another controller owns, or what the operator has not made, is not touched.

    >>> belongs_to({"ownerReferences": [{"uid": "a", "controller": True}]}, "a")
    True
    >>> belongs_to({"labels": {"anomaly-operator.dev/detector": "pumps"}}, "a")
    False
    """
    owner = controller(metadata)
    return owner == uid or (not owner and ANNOTATION_MANIFEST in (metadata.get("annotations") or {}))
