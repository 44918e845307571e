"""What people met elsewhere (`../shared/cases`), each with the outcome that they hoped for: through decoding and all stages."""

from __future__ import annotations

from tests.cases.running import lines, run, spec

PUMPS = "features: [{name: temperature}, {name: pressure}, {name: vibration}]"


def test_c01_one_bad_sensor_blinds_nobody_and_the_fault_of_another_one_is_found() -> None:
    told = run(spec(PUMPS), lines("c01-messages"))
    assert (told.readings, told.rejects) == (400, {})
    assert told.tally.missing == {"vibration": 174}
    assert told.opened == [("pump-01", "temperature")]


def test_c01_a_sentinel_is_no_value() -> None:
    sent = lines("c01-messages")
    for each in sent[::5]:
        each["value"] = '{"temperature": 60.0, "pressure": 4.0, "vibration": -9999}'
    asked = PUMPS.replace("{name: vibration}", "{name: vibration, missingValues: [-9999]}")
    assert run(spec(asked), sent).tally.missing["vibration"] > 174
    assert ("pump-01", "vibration") not in run(spec(asked), sent).opened


def test_c03_numbers_that_are_text_are_read_where_the_spec_says_so() -> None:
    metrics = "{entity: {field: labels.instance}, time: {field: timestamp}, features: [{name: load, field: value, text: {}}]}"
    units = "features: [{name: temperature, text: {unit: °C}}, {name: power, text: {decimal: Comma}}]"
    for asked, name in ((metrics, "c03-prometheus"), (units, "c03-units")):
        told = run(spec(asked), lines(name))
        assert (told.readings, told.rejects, told.tally.missing) == (300, {}, {})
    told = run(spec(metrics.replace(", text: {}", "")), lines("c03-prometheus"))
    assert told.said == {"value: expected a number, found text (set text or values of the feature to read it)"}


def test_c05_messages_with_one_field_each_are_merged_into_readings() -> None:
    asked = """
    source: {merge: {within: 5s}}
    entity: {field: tags.device}
    time: {field: timestamp, format: UnixSeconds}
    features: [{name: temperature, field: fields.temperature}, {name: pressure, field: fields.pressure},
               {name: vibration, field: fields.vibration}]
    """
    for batch in (50, 7):
        told = run(spec(asked), lines("c05-messages"), batch)
        assert (told.readings, told.rejects) == (300, {})
        assert (told.tally.duplicates, told.tally.late, told.tally.missing) == (0, 0, {})


def test_c09_messages_of_other_kinds_are_left_alone() -> None:
    told = run(spec(PUMPS), lines("c09-messages"))
    assert (told.readings, told.rejects, told.skips) == (200, {}, {"NoFeature": 810})
    filtered = run(spec(f"{{source: {{filter: [{{field: type, equals: reading}}]}}, {PUMPS}}}"), lines("c09-messages"))
    assert (filtered.readings, filtered.rejects, filtered.skips) == (200, {}, {"Filtered": 810})


def test_c13_nanoseconds_lists_and_text_are_read_and_a_wrong_unit_is_told() -> None:
    events = "{entity: {field: deviceName}, time: {field: origin, format: UnixNanos}, features: [{name: rate, FIELD, text: {}}]}"
    told = run(spec(events.replace("FIELD", "field: readings.0.value")), lines("c13-messages"))
    assert (told.readings, told.rejects) == (200, {})
    pairs = events.replace("{entity", "{source: {pairs: {list: readings, name: resourceName}}, entity")
    told = run(spec(pairs.replace("FIELD", "field: RotationRate")), lines("c13-messages"))
    assert (told.readings, told.rejects) == (200, {})
    told = run(spec("{time: {field: origin, format: UnixMillis}, features: [{name: rate}]}"), lines("c13-nanoseconds-only"))
    assert told.rejects == {"TimeInvalid": 200}
    assert all("UnixNanos" in said and "2026" in said for said in told.said)


def test_c14_an_entity_may_be_named_by_several_fields() -> None:
    asked = """
    entity: {template: "{tags.host}/{tags.interface}"}
    time: {field: timestamp, format: UnixSeconds}
    features: [{name: rx, field: fields.rx}]
    """
    told = run(spec(asked), lines("c14-messages"))
    assert (told.readings, told.tally.duplicates) == (600, 0)
    assert told.opened == [("edge-1/eth1", "rx")]


def test_c15_fields_with_dots_in_their_names_are_found() -> None:
    one = "features: [{name: temperature}, {name: pressure, field: hydraulic.pressure}]"
    both = "features: [{name: temperature, field: rig.temperature}, {name: pressure, field: rig.pressure}]"
    for asked, name in ((one, "c15-one-of-two"), (both, "c15-all")):
        told = run(spec(asked), lines(name))
        assert (told.readings, told.tally.missing, told.rejects) == (300, {}, {})


def test_alerts_carry_the_labels_of_the_entity() -> None:
    asked = """
    entity: {template: "{tags.host}/{tags.interface}", labels: {host: tags.host, rack: tags.rack}}
    time: {field: timestamp, format: UnixSeconds}
    features: [{name: rx, field: fields.rx}]
    """
    alerts = run(spec(asked), lines("c14-messages")).alerts
    assert alerts
    assert all(alert["data"]["labels"] == {"host": "edge-1"} for alert in alerts)
