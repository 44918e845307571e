"""What is wrong with a message: a reason for machines, a sentence for people."""

from typing import NamedTuple

from anomaly_api.alert import DeadLetterReason


class Flaw(NamedTuple):
    """What is wrong with a message. The sentence names fields and kinds of values, never a value: it is logged."""

    reason: DeadLetterReason
    message: str
