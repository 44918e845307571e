"""Building blocks of the resources: strict frozen models in camelCase, durations, CEL rules. No field of any resource."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION: Final = re.compile(r"(\d+)(ms|s|m|h|d|w)")
DURATION_PATTERN: Final = r"^([0-9]+(ms|s|m|h|d|w))+$"


@dataclass(frozen=True)
class Matching:
    """Text that matches all of `patterns`, which Python and RE2 read alike.

    A bare pattern in a schema is answered by the API server with the pattern; this is answered with `sentence`.
    """

    sentence: str
    patterns: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        cel = " && ".join(f"self.matches(r'{pattern}')" for pattern in self.patterns)
        return {**handler(core), "x-kubernetes-validations": [{"rule": cel, "message": self.sentence}]}

    def _checked(self, value: str) -> str:
        if all(re.search(pattern, value) for pattern in self.patterns):
            return value
        raise ValueError(self.sentence)


def matching(sentence: str, *patterns: str) -> Matching:
    """Text of which each pattern is found in; `sentence` says how it is written."""
    return Matching(sentence, patterns)


Duration = Annotated[
    str,
    Field(max_length=32),
    matching(
        "write a length of time greater than zero, such as 30s, 5m, 1h30m or 7d (units: ms, s, m, h, d, w)",
        DURATION_PATTERN,
        "[1-9]",
    ),
]
"""A length of time such as `30s`, `1h30m`, `7d`. Units: ms, s, m, h, d, w."""
DurationOrZero = Annotated[
    str,
    Field(max_length=32),
    matching("write a length of time such as 0s, 30s, 5m, 1h30m or 7d (units: ms, s, m, h, d, w)", DURATION_PATTERN),
]
"""The same, or none at all: `0s`."""


class Contract(BaseModel):
    """Frozen, camelCase outside, snake_case inside; what a newer version added is ignored, so that upgrades can overlap."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        serialize_by_alias=True,
        defer_build=True,  # a pod builds the few models that it uses; all of them take a tenth of a second of its start
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy, with other values of some fields; what was computed of the old ones is not copied."""
        copied = super().model_copy(update=update, deep=deep)
        for computed in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[computed]
        return copied

    def document(self) -> dict[str, Any]:
        """The plain JSON value, without what is unset."""
        return self.model_dump(mode="json", exclude_none=True)

    def essentials(self) -> dict[str, Any]:
        """The plain JSON value of what differs from the defaults, which digests are made of.

        A later version may add a field with a default, and no digest changes: an upgrade trains nothing anew and replaces no pod.
        The price is that the default of a field never changes once it has been released.
        """
        return self.model_dump(mode="json", exclude_none=True, exclude_defaults=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        from anomaly_api.docstrings import descriptions  # a pod writes no schema, and starts sooner without it

        schema = handler(core)
        texts = descriptions(cls)
        properties = handler.resolve_ref_schema(schema)["properties"]
        for name, field in cls.model_fields.items():
            if name in texts and field.description is None:
                properties[field.alias or name].setdefault("description", texts[name])
        return schema


class Empty(Contract):
    """A choice that has no settings, written `{}`."""


ContractType = TypeVar("ContractType", bound=type[Contract])


def rule(cel: str, message: str) -> Callable[[ContractType], ContractType]:
    """A rule across fields, in CEL, which the API server enforces; `message` says what to change.

    Several may decorate one class. They end up as `x-kubernetes-validations` of its schema.
    """

    def decorate(model: ContractType) -> ContractType:
        extra = cast(dict[str, Any], model.model_config.get("json_schema_extra") or {})
        rules = [{"rule": cel, "message": message}, *extra.get("x-kubernetes-validations", [])]
        model.model_config["json_schema_extra"] = {**extra, "x-kubernetes-validations": rules}
        return model  # it has not been built yet

    return decorate


EXACTLY_ONE: Final = "set exactly one of: "
AT_MOST_ONE: Final = "set at most one of: "


def exactly_one(*fields: str) -> Callable[[ContractType], ContractType]:
    """A union: exactly one of `fields` (camelCase) is set.

    A field whose type is a union has no default in the CRD: a member that the API server had filled in would belong to nobody, so
    that `kubectl apply` of another member would leave both. Absence means the default, which the models fill in when they read.
    """
    return rule(f"{_members(fields)} == 1", f"{EXACTLY_ONE}{', '.join(fields)}")


def at_most_one(*fields: str) -> Callable[[ContractType], ContractType]:
    """A union that has further fields beside its members, so that none of them may be set; the class says which is meant then."""
    return rule(f"{_members(fields)} <= 1", f"{AT_MOST_ONE}{', '.join(fields)}")


def _members(fields: tuple[str, ...]) -> str:
    return " + ".join(f"(has(self.{field}) ? 1 : 0)" for field in fields)


def list_map(*keys: str) -> dict[str, Any]:
    """Schema of a list whose items are told apart by `keys`, as server-side apply and the duplicate check need it."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


def seconds(duration: str) -> float:
    """Length of a `Duration` in seconds.

    >>> seconds("1h30m")
    5400.0

    Raises ValueError when it is not one.
    """
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration: write for example 30s, 5m or 1h30m (units: {', '.join(_UNITS)})")
    return sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(duration))


def delta(duration: str) -> timedelta:
    """A `Duration` as a timedelta."""
    return timedelta(seconds=seconds(duration))


def digest(document: Any) -> str:
    """sha256, in hexadecimal, of the canonical JSON of a plain value: sorted keys, no spaces."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
