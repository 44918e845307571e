"""Evidence that survives pods and operator: what each pod instance reported last, and the sum of those that are gone.

A pod counts from its own start, so a count of an instance only grows. The total is the sum of every instance's last report; an
instance whose pod is gone is added to `settled` and dropped, so that the ledger stays as small as the Deployment. The ledger
is kept in the detector's status: a restart of the operator finds it there, a restart of a pod begins a new instance.
"""

from collections.abc import Collection, Mapping
from functools import reduce

from anomaly_api.rollout import PairedCounts
from anomaly_api.rollout_status import EvidenceLedger


def total(ledger: EvidenceLedger) -> PairedCounts:
    """The counts of all instances that ever reported."""
    return reduce(PairedCounts.__add__, ledger.instances.values(), ledger.settled)


def record(ledger: EvidenceLedger, reports: Mapping[str, PairedCounts], live: Collection[str]) -> EvidenceLedger:
    """Returns the ledger with the new reports; `live` names all instances that still exist, whether they reported or not.

    A report that is older than the last one of its instance (its window count is smaller) is ignored.
    """
    instances, settled = dict(ledger.instances), ledger.settled
    for instance, counts in reports.items():
        known = instances.get(instance)
        if known is None or counts.windows >= known.windows:
            instances[instance] = counts
    for instance in sorted(set(instances) - set(live) - set(reports)):
        settled += instances.pop(instance)
    return EvidenceLedger(settled=settled, instances=instances)
