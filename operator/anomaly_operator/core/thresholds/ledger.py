"""Keeps what pods counted of the deciding revision's alerts, in the status, so that no restart loses or doubles it."""

from collections.abc import Collection, Iterable

from anomaly_api.evidence import DetectorEvidence
from anomaly_api.exposure import ExposureLedger, InstanceExposure, added


def record(ledger: ExposureLedger, evidence: Iterable[DetectorEvidence], live: Collection[str]) -> ExposureLedger:
    """The ledger with what pods tell of its revision. `live`: pods that still exist, whether they answered or not.

    A pod counts from a moment of its own (`ExposureEvidence.since`), so counts of an instance only grow; those of instances that
    are gone are added up. What is told of other revisions is passed over.
    """
    instances, settled = {each.instance: each.windows for each in ledger.instances}, ledger.settled
    for each in evidence:
        told = each.exposure
        if told is None or (told.revision, told.model) != (ledger.revision, ledger.model):
            continue
        name = f"{each.pod}/{told.since:.3f}"
        for other in [known for known in instances if known.startswith(f"{each.pod}/") and known < name]:
            settled = added(settled, instances.pop(other))  # its process, or its revision, began anew
        instances[name] = told.windows
    for name in [known for known in instances if known.rsplit("/", 1)[0] not in live]:
        settled = added(settled, instances.pop(name))
    kept = [InstanceExposure(instance=name, windows=windows) for name, windows in sorted(instances.items())]
    return ledger.model_copy(update={"settled": settled, "instances": kept})


def turned(ledger: ExposureLedger | None, revision: str, model: str) -> ExposureLedger:
    """The ledger of the revision that decides now. Counts of the same model stay known; of another one nothing does."""
    if ledger is None or ledger.model != model:
        return ExposureLedger(revision=revision, model=model)
    if ledger.revision == revision:
        return ledger
    return ExposureLedger(revision=revision, model=model, earlier=added(ledger.earlier, ledger.total))
