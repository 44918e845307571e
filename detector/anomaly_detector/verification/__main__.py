"""The Job that checks a model: `python -m anomaly_detector.verification`. The order is in the environment, the answer is the
pod's termination message. Exit status 0 where the model may be used, 3 where not, 4 where the archive could not be fetched.
"""

import os
import sys
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from anomaly_api.meta import VERIFICATION_ENV
from anomaly_api.verification import VerificationOrder, VerificationResult
from anomaly_detector.verification.check import verify

_TERMINATION_LOG: Final = "/dev/termination-log"
_LONGEST: Final = 580
"""Characters of the whole answer: the operator keeps 600."""


def main() -> int:
    """The exit status."""
    try:
        order = VerificationOrder.model_validate_json(os.environ.get(VERIFICATION_ENV, ""))
    except ValidationError as error:
        print(f"{VERIFICATION_ENV}: {error}", file=sys.stderr)
        return 2
    result = verify(order)
    print(f"{result.reason.value}: {result.message}", file=sys.stderr)
    Path(os.environ.get("TERMINATION_LOG", _TERMINATION_LOG)).write_text(_answer(result), encoding="utf-8")
    return 0 if result.verified else (4 if result.reason.passing else 3)


def _answer(result: VerificationResult) -> str:
    """The result as JSON, with as much of the message as there is room for."""
    message = " ".join(result.message.split())
    while True:
        text = result.model_copy(update={"message": message, "digest": ""}).model_dump_json(by_alias=True)
        if len(text) <= _LONGEST:
            return text
        message = message[: len(message) - max(1, (len(text) - _LONGEST) // 6)]


if __name__ == "__main__":
    sys.exit(main())
