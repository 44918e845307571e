"""How many examples a law is tried with: few in `make test`, always the same ones; many, and other ones each time, at night.

`make laws` is the night: HYPOTHESIS_PROFILE=night, thirty times as many examples, an hour and more.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Final

from hypothesis import HealthCheck, settings

PROFILE: Final = os.environ.get("HYPOTHESIS_PROFILE", "ci")
_TIMES: Final = {"ci": 1, "night": 30}
_EXAMPLES: Final = 40
"""Of a law that asks for no number."""

# How long an example takes says how busy the machine is, not whether the law holds: no deadline.
settings.register_profile("ci", deadline=None, max_examples=_EXAMPLES, derandomize=True)
settings.register_profile("night", deadline=None, max_examples=_EXAMPLES * _TIMES["night"])


def load() -> None:
    """Raises KeyError with the names there are when HYPOTHESIS_PROFILE is none of them."""
    if PROFILE not in _TIMES:
        raise KeyError(f"HYPOTHESIS_PROFILE is {PROFILE}; it can be {' or '.join(_TIMES)}")
    settings.load_profile(PROFILE)


def examples(count: int, suppressed: Collection[HealthCheck] = ()) -> settings:
    """For a law that needs more examples than others, or can only afford fewer: so many in `make test`."""
    return settings(max_examples=count * _TIMES[PROFILE], suppress_health_check=suppressed)
