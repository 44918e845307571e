"""What a reading is of: where its name stands, and how long it is remembered."""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, model_validator

from anomaly_api.input import FieldPath
from anomaly_api.schema import Contract, Duration, Empty, at_most_one, matching, rule


class KeyFormat(StrEnum):
    """How the message key is written."""

    TEXT = "Text"
    INTEGER = "Integer"
    UUID = "Uuid"
    JSON = "Json"


@at_most_one("key", "field", "template", "constant")
@rule(
    "!has(self.keyFormat) || self.keyFormat == 'Text' || !(has(self.field) || has(self.template) || has(self.constant))",
    "entity.keyFormat says how the message key is written: it has no use beside field, template or constant",
)
class Entity(Contract):
    """What a reading is of: every entity has windows and episodes of its own.

    All readings of an entity belong into one partition of the topic, as they do where it is the message key: a pod knows its own
    partitions only. Where they do not, the condition Scoring says so (EntitiesScattered).
    """

    key: Empty | None = None
    """The message key, as UTF-8 text. It counts where none of key, field, template and constant is set."""
    key_format: KeyFormat = KeyFormat.TEXT
    """Notation of the message key. Text, the default: UTF-8. Integer: 4 or 8 bytes, big-endian, with a sign, as Kafka's own
    serializers write them. Uuid: 16 bytes. Json: a JSON value; an object's members are put in order, so that it is one name
    however they come."""
    field: FieldPath | None = None
    """Field of the reading with the entity's name: text or a whole number. Dots lead into nested objects: `device.id`. Set it
    where the messages have no key."""
    template: (
        Annotated[
            str,
            Field(max_length=512),
            matching("write fields in braces, such as {tags.host}/{tags.interface}", r"^[^{}]*(\{[^{}]+\}[^{}]*)+$"),
        ]
        | None
    ) = None
    """Name that is put together from several fields: `{tags.host}/{tags.interface}`. Each must be text or a whole number. Set
    it where no field alone tells entities apart. All readings of an entity belong into one partition all the same."""
    constant: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Name of the one entity that the whole topic is about. The topic has one partition, or all its messages have one key:
    otherwise each partition is scored by itself, under the same name."""

    @model_validator(mode="before")
    @classmethod
    def _by_key(cls, given: Any) -> Any:
        """Without any of the four it is the message key."""
        if isinstance(given, dict) and all(given.get(member) is None for member in ("key", "field", "template", "constant")):
            return {**given, "key": Empty()}
        return given


class WatchedEntity(Entity):
    """What a reading is of, and how long it is remembered. Memory is no part of a model: what is above is."""

    labels: Annotated[dict[str, Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=16)] | None = None
    """Labels that the entity's alerts carry, and the fields with their values, such as `{site: meta.site}`: as the reading has
    them that led to the record. Unset: none. They are no part of the entity's name, and a change trains nothing."""
    silent_after: Duration | None = None
    """Silence after which an entity is told of: an episode of its own kind (window `silence`, scorer Silence) opens when the
    newest event time of its partition is so much beyond the entity's last reading, and closes when the entity sends again. Unset:
    a silent entity is not told of. Choose several times the usual interval of its readings. Where nobody sends anything at all,
    source.silentAfter is what tells."""
    expire_after: Duration = "7d"
    """Silence after which an entity is forgotten: its windows and baselines begin anew if it comes back, and an open episode
    closes with reason Idle. Default 7d, so that a machine that stands still at the weekend is known on Monday. Measured in
    event time, by the newest reading of its partition; never sooner than the longest maxGap. 5200w is for ever."""
