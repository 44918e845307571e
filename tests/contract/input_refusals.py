"""Rows of `refusals.py` about how messages are read. No test."""

from tests.contract.refusals import DURATION, PATH, Wrong, _detector

PATTERN = "write the time by the directives %Y %y %m %d %j %b %B %a %A %H %I %M %S %f %p %z %%, such as %d.%m.%Y %H:%M:%S"
ONE_CONDITION = "set exactly one of: equals, oneOf, noneOf, exists"


def _feature(field: str, sentence: str, **feature: object) -> Wrong:
    return _detector(f"spec.features[0].{field}", sentence, features=[{"name": "load", **feature}])


def _source(field: str, sentence: str, **source: object) -> Wrong:
    kafka = {"bootstrapServers": "kafka:9092", "topic": "readings"}
    return _detector(f"spec.source.{field}", sentence, source={"kafka": kafka, **source})


INPUT_ROWS = [
    _detector(
        "spec.time",
        "time.pattern and time.format: Pattern belong together: set both, or neither",
        time={"field": "at", "format": "Pattern"},
    ),
    _detector(
        "spec.time",
        "time.zone is for local times: the other formats say themselves what time they mean",
        time={"field": "at", "format": "UnixMillis", "zone": "Europe/Berlin"},
    ),
    _detector("spec.time.pattern", PATTERN, time={"field": "at", "format": "Pattern", "pattern": "%Q"}),
    _detector(
        "spec.time.zone",
        "write a time zone by its IANA name, such as Europe/Berlin",
        time={"field": "at", "zone": "Central European Time"},
    ),
    _detector(
        "spec.entity",
        "entity.keyFormat says how the message key is written: it has no use beside field, template or constant",
        entity={"field": "pump", "keyFormat": "Integer"},
    ),
    _detector("spec.entity.silentAfter", DURATION, entity={"silentAfter": "soon"}),
    _detector(
        "spec.entity.template",
        "write fields in braces, such as {tags.host}/{tags.interface}",
        entity={"template": "tags.host"},
    ),
    _feature(
        "text", "text.thousands and text.decimal must not be the same mark", text={"decimal": "Comma", "thousands": "Comma"}
    ),
    _source("filter[0]", ONE_CONDITION, filter=[{"field": "type"}]),
    _source("filter[0].field", PATH, filter=[{"field": "a..b", "exists": True}]),
    _source("pairs.list", PATH, pairs={"list": "a..b"}),
    _source("pairs.name", PATH, pairs={"name": "a..b"}),
    _source("pairs.value", PATH, pairs={"value": "a..b"}),
    _source("merge.within", DURATION, merge={"within": "soon"}),
]
