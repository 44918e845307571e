"""What is wrong with which document, and the sentence that the API server must answer: a row for each rule. No test."""

from dataclasses import dataclass

from tests.contract.documents import Document, changed, example, trained_model

DURATION = "write a length of time greater than zero, such as 30s, 5m, 1h30m or 7d (units: ms, s, m, h, d, w)"
DURATION_OR_ZERO = "write a length of time such as 0s, 30s, 5m, 1h30m or 7d (units: ms, s, m, h, d, w)"
NAME = "write lower-case letters, digits and dashes, with a letter or digit at both ends"
FEATURE = "write letters, digits, dashes, underscores and single dots, such as temperature or sensors.temp_1"
PATH = "write the name of a field, names joined by single dots such as sensors.temperature, or a JSON Pointer such as /a~1b/c.d"
TOPIC = "write the name of a Kafka topic: letters, digits, dots, underscores and dashes"
BROKERS = "write host:port, several joined by commas, such as kafka-0.kafka:9092,kafka-1.kafka:9092"
URI = "write a URI with its scheme, such as s3://models/pumps"
FILE = "write the URI of a CSV or Parquet file, such as s3://history/pumps.parquet or file:///pumps.csv.gz"
QUANTITIES = "write Kubernetes quantities, such as cpu: 500m or memory: 256Mi"
REQUESTS = "requests must not be greater than limits: no node would take the pod"
OWN = "names beginning with anomaly-operator.dev/ or app.kubernetes.io/ are the operator's own: choose others"
MEMORY = "write an amount of memory of at least 1Mi, such as 256Mi"
KEY = "write the name of a key of the Secret, such as ca.crt"
URL = "write a URL, such as https://keycloak.example.com/realms/kafka/protocol/openid-connect/token"
DIGEST = "write sha256: and the 64 hexadecimal digits that sha256sum prints for the archive"


@dataclass(frozen=True)
class Wrong:
    """A good document with something wrong at `field`."""

    field: str
    """As the API server writes it."""
    sentence: str
    document: Document

    @property
    def title(self) -> str:
        """Unique enough for a test's name."""
        return f"{self.document['kind']} {self.field}: {self.sentence[:50]}"


def _detector(field: str, sentence: str, **spec: object) -> Wrong:
    return Wrong(field, sentence, changed(example("shortest.yaml"), {"spec": spec}))


def _named(name: str, sentence: str) -> Wrong:
    return Wrong("", sentence, changed(example("shortest.yaml"), {"metadata": {"name": name}}))


def _model(field: str, sentence: str, **spec: object) -> Wrong:
    return Wrong(field, sentence, changed(trained_model(), {"spec": spec}))


def _kafka(field: str, sentence: str, **kafka: object) -> Wrong:
    return _detector(f"spec.source.kafka{field}", sentence, source={"kafka": kafka})


def _suppression(field: str, sentence: str, **rule: str) -> Wrong:
    return _detector(f"spec.alerts.suppress[0]{field}", sentence, alerts={"suppress": [{"name": "some", **rule}]})


def _bound(field: str, sentence: str, **bound: object) -> Wrong:
    features = [{"name": "temperature", **bound}]
    return _detector(f"spec.model.bounds.features[0]{field}", sentence, model={"bounds": {"features": features}})


def _user(**changes: object) -> dict[str, object]:
    return {"mechanism": "ScramSha512", "secretRef": {"name": "pumps", **changes}}


def _token(**changes: object) -> dict[str, object]:
    return {"mechanism": "OAuthBearer", "oauth": {"serviceAccountToken": {"audience": "kafka", **changes}}}


def _client(**changes: object) -> dict[str, object]:
    asked = {"tokenEndpointUrl": "https://id.example.com/token", "secretRef": {"name": "pumps"}}
    return {"mechanism": "OAuthBearer", "oauth": {"clientCredentials": {**asked, **changes}}}


_PASSWORD = "set sasl.secretRef: the Secret with the user's name and password"
_TOKEN = "sasl.oauth says where the token of OAuthBearer comes from: set it for this mechanism, and for no other"
_NO_PASSWORD = "OAuthBearer takes no user name and no password: what it needs stands in sasl.oauth"
_CLIENT = ".sasl.oauth.clientCredentials"
_KEPT_PROPERTIES = (
    "properties must not set what the operator owns (bootstrap.servers, group.id, offsets, commits, transactions, TLS, SASL): "
    "use the fields of source.kafka"
)
_CREDENTIALS = "properties must not hold credentials: they would be readable by everyone who can read this resource"
_BROKER_DECIDES = (
    "properties must not set session.timeout.ms, heartbeat.interval.ms or group.protocol.type with groupProtocol Consumer: "
    "the broker decides them, for example by its group.consumer.session.timeout.ms"
)
_EXACTLY_ONE_MODEL = (
    "set exactly one of: autoencoder, pca, isolationForest, localOutlierFactor, seasonal, bounds, ensemble, statistical, modelRef"
)
_EXACTLY_ONE_MEMBER = "set exactly one of: autoencoder, pca, isolationForest, localOutlierFactor"
_EXACTLY_ONE_THRESHOLD = "set exactly one of: budget, quantile, standardDeviations, value, peaksOverThreshold, conformal"
_ONE_VALUE = "threshold.value is one number and cannot serve several windows: use budget, quantile or standardDeviations"
_FILE_CLAIM = "training.data.files with file:// needs modelStore.uri.claimName: the volume that holds the files"
_SAME_TOPICS = "alerts.topic and alerts.deadLetterTopic must differ: who reads alerts would be sent what cannot be read"
_OWN_STATE = "stateTopic must be a topic of its own: it is compacted, and only the detector can read it"
_OWN_ALERTS = "alerts.topic must not be the source topic: the detector would read its own alerts"
_FOR_EVER = "alerts.deadLetterTopic must not be the source topic: what cannot be read would come back for ever"
_LONG_TOPIC = "the source topic's name is too long to add .alerts or .dead-letters: set alerts.topic and alerts.deadLetterTopic"
_WIDE = "a window's size times the number of features must not be greater than 16384: choose a smaller window or fewer features"
_ROOM = (
    "pod.resources.limits.memory must be at least memoryBudget and 160Mi: the pods would be killed once the budget is used up. "
    "Raise the limit, or lower the budget"
)
_WARNING = {"name": "warning", "above": 1}
_LIFETIME = "write minutes from 10m to 1440m, or hours from 1h to 24h: Kubernetes makes no token for less, nor for more"
_DATES = {"from": "2026-12-24T00:00:00Z", "until": "2026-12-27T00:00:00Z"}
_COOLDOWN = "cooldown is what records say that the cooldown suppresses: choose another name"
_CRON = "write five fields of cron: minute, hour, day of month, month, day of week, such as 0 2 * * 6"
_ZONE = "write the name of a time zone, such as Europe/Berlin or UTC"
_MOMENT = "write a time with its offset, such as 2026-12-24T18:00:00Z or 2026-12-24T18:00:00+01:00"
_EITHER = "set either schedule and duration, or from and until"
_TWO_WINDOWS = [{"name": "short"}, {"name": "long", "size": 60}]

DETECTORS = [
    _named("p" * 41, "metadata.name must have at most 40 characters: the names of its pods, Jobs and models are made from it"),
    _named("pumps.north", "metadata.name must consist of lower-case letters, digits and dashes: it becomes part of host names"),
    _kafka(".bootstrapServers", BROKERS, bootstrapServers="kafka"),
    _kafka(".bootstrapServers", BROKERS, bootstrapServers="http://kafka:9092"),
    _kafka(".bootstrapServers", BROKERS, bootstrapServers=""),
    _kafka(".bootstrapServers", BROKERS, bootstrapServers="kafka-0:9092,,kafka-1:9092"),
    _kafka(".topic", TOPIC, topic="pump readings"),
    _kafka(".topic", TOPIC, topic=""),
    _kafka(".topic", TOPIC, topic=".."),
    _kafka("", _KEPT_PROPERTIES, properties={"group.id": "mine"}),
    _kafka("", _KEPT_PROPERTIES, properties={"security.protocol": "SSL"}),
    _kafka("", _KEPT_PROPERTIES, properties={"enable.ssl.certificate.verification": "false"}),
    _kafka("", _KEPT_PROPERTIES, properties={"ssl.ca.location": "/etc/ssl/ca.pem"}),
    _kafka("", _CREDENTIALS, properties={"sasl.password": "hunter2"}),
    _kafka("", _KEPT_PROPERTIES, properties={"group.protocol": "consumer"}),
    _kafka("", _BROKER_DECIDES, groupProtocol="Consumer", properties={"session.timeout.ms": "6000"}),
    _kafka("", _CREDENTIALS, properties={"ssl.key.pem": "a key"}),
    _kafka(".tls.caSecretRef.key", KEY, tls={"caSecretRef": {"name": "ca", "key": "-----BEGIN CERTIFICATE-----"}}),
    _kafka(".tls.clientSecretRef.certificateKey", KEY, tls={"clientSecretRef": {"name": "pumps", "certificateKey": "a/b"}}),
    _kafka(".tls.clientSecretRef.privateKeyKey", KEY, tls={"clientSecretRef": {"name": "pumps", "privateKeyKey": ""}}),
    _kafka(".sasl.secretRef.usernameKey", KEY, sasl=_user(usernameKey="user name")),
    _kafka(".sasl.secretRef.passwordKey", KEY, sasl=_user(passwordKey="pass word")),
    _kafka(".sasl", _PASSWORD, sasl={"mechanism": "Plain", "username": "pumps"}),
    _kafka(".sasl", _TOKEN, sasl={"mechanism": "OAuthBearer"}),
    _kafka(".sasl", _TOKEN, sasl={**_client(), **_user()}),
    _kafka(".sasl", _NO_PASSWORD, sasl={**_client(), "username": "pumps"}),
    _kafka(".sasl.oauth", "set exactly one of: clientCredentials, serviceAccountToken", sasl={**_client(), "oauth": {}}),
    _kafka(f"{_CLIENT}.tokenEndpointUrl", URL, sasl=_client(tokenEndpointUrl="keycloak:8080")),
    _kafka(f"{_CLIENT}.secretRef.clientIdKey", KEY, sasl=_client(secretRef={"name": "pumps", "clientIdKey": "my id"})),
    _kafka(f"{_CLIENT}.secretRef.clientSecretKey", KEY, sasl=_client(secretRef={"name": "pumps", "clientSecretKey": "a?"})),
    _kafka(f"{_CLIENT}.caSecretRef.key", KEY, sasl=_client(caSecretRef={"name": "ca", "key": "ca crt"})),
    _detector("spec.source.silentAfter", DURATION, source={"silentAfter": "never"}),
    _kafka(".sasl.oauth.serviceAccountToken.expiration", _LIFETIME, sasl=_token(expiration="5m")),
    _detector("spec.scaling.maxLag", DURATION, scaling={"maxLag": "30"}),
    _detector(
        "spec.scaling",
        "scaling.maxReplicas must not be less than scaling.minReplicas",
        scaling={"minReplicas": 3, "maxReplicas": 2},
    ),
    _detector("spec.entity", "set at most one of: key, field, template, constant", entity={"key": {}, "field": "pump"}),
    _detector("spec.entity.field", PATH, entity={"field": "device..id"}),
    _detector("spec.time", "time.format says how time.field is written: set time.field as well", time={"format": "UnixMillis"}),
    _detector("spec.time.field", PATH, time={"field": ""}),
    _detector("spec.time.lateness", DURATION_OR_ZERO, time={"lateness": "0"}),
    _detector("spec.time.maxAhead", DURATION, time={"maxAhead": "0s"}),
    _detector("spec.features[0].name", FEATURE, features=[{"name": "oil temperature"}]),
    _detector("spec.features[0].name", FEATURE, features=[{"name": ".load"}]),
    _detector("spec.features[0].field", PATH, features=[{"name": "load", "field": "sensors."}]),
    _detector("spec.windows[0].name", NAME, windows=[{"name": "Short"}]),
    _detector("spec.windows[0].maxGap", DURATION, windows=[{"name": "short", "maxGap": "0s"}]),
    _detector("spec.windows[0].maxGap", DURATION, windows=[{"name": "short", "maxGap": "5 minutes"}]),
    _detector(
        "spec.windows[0]",
        "every must not be greater than size: readings would be skipped unseen",
        windows=[{"name": "short", "size": 12, "every": 13}],
    ),
    _detector("spec", _WIDE, windows=[{"name": "huge", "size": 1024}], features=[{"name": f"f{n}"} for n in range(17)]),
    _detector(
        "spec.model",
        _EXACTLY_ONE_MODEL,
        model={"autoencoder": {}, "statistical": {}},
    ),
    _detector("spec.model.seasonal.period", DURATION, model={"seasonal": {"period": "0d"}}),
    _detector("spec.model.ensemble.members[0]", _EXACTLY_ONE_MEMBER, model={"ensemble": {"members": [{}, {"pca": {}}]}}),
    _bound(".name", FEATURE, name="oil temperature", max=1),
    _bound("", "set min or max, or both"),
    _bound("", "min must be less than max", min=1, max=1),
    _detector("spec.training.data", "set exactly one of: topic, files", training={"data": {}}),
    _detector("spec.training.data.topic.last", DURATION, training={"data": {"topic": {"last": "0d"}}}),
    _detector("spec.training.data.files[0]", FILE, training={"data": {"files": ["s3://history/pumps.json"]}}),
    _detector("spec", _FILE_CLAIM, training={"data": {"files": ["file:///history/pumps.csv"]}}),
    _detector(
        "spec.training",
        "minimum.windows must not be greater than maximum.windows: training would wait for ever",
        training={"minimum": {"windows": 5000}, "maximum": {"windows": 1000}},
    ),
    _detector("spec.training.resources.requests", QUANTITIES, training={"resources": {"requests": {"cpu": "half"}}}),
    _detector("spec.training.resources.limits", QUANTITIES, training={"resources": {"limits": {"memory": "2 Gi"}}}),
    _detector("spec.training.resources", REQUESTS, training={"resources": {"requests": {"cpu": 2}, "limits": {"cpu": "1500m"}}}),
    _detector("spec.threshold", _EXACTLY_ONE_THRESHOLD, threshold={"quantile": 0.99, "value": 0.1}),
    _detector("spec.threshold.budget.per", DURATION, threshold={"budget": {"per": "0w"}}),
    _detector("spec", _ONE_VALUE, threshold={"value": 0.1}, windows=_TWO_WINDOWS),
    _detector("spec.alerts.topic", TOPIC, alerts={"topic": "alerts!"}),
    _detector("spec.alerts.deadLetterTopic", TOPIC, alerts={"deadLetterTopic": "dead letters"}),
    _detector("spec", _OWN_ALERTS, alerts={"topic": "pump-readings"}),
    _detector("spec", _FOR_EVER, alerts={"deadLetterTopic": "pump-readings"}),
    _detector("spec.stateTopic", TOPIC, stateTopic="pump state"),
    _detector("spec", _OWN_STATE, stateTopic="pump-readings.alerts"),
    _detector("spec", _OWN_STATE, stateTopic="pump-readings"),
    _detector("spec", _SAME_TOPICS, alerts={"topic": "both", "deadLetterTopic": "both"}),
    _detector("spec", _SAME_TOPICS, alerts={"topic": "pump-readings.dead-letters"}),
    _detector("spec", _LONG_TOPIC, source={"kafka": {"topic": "t" * 240}}),
    _detector(
        "spec.alerts",
        "close.below must not be above open.above: an episode would close as it opens",
        alerts={"open": {"above": 1}, "close": {"below": 1.1}},
    ),
    _detector(
        "spec.alerts",
        "one severity must begin at or below open.above, without for: an episode could open without any",
        alerts={"severities": [{"name": "critical", "above": 3}, {"name": "warning", "above": 1, "for": "5m"}]},
    ),
    _detector(
        "spec.alerts.severities[0].for", DURATION, alerts={"severities": [{"name": "a", "above": 1, "for": "0s"}, _WARNING]}
    ),
    _detector("spec.alerts.update.every", DURATION_OR_ZERO, alerts={"update": {"every": "often"}}),
    _detector("spec.alerts.cooldown", DURATION_OR_ZERO, alerts={"cooldown": "-5m"}),
    _suppression(".name", NAME, name="Night", schedule="0 2 * * *", duration="1h"),
    _suppression("", _COOLDOWN, name="cooldown", schedule="0 2 * * *", duration="1h"),
    _suppression(".schedule", _CRON, schedule="61 2 * * *", duration="1h"),
    _suppression(".schedule", _CRON, schedule="@daily", duration="1h"),
    _suppression(".duration", DURATION, schedule="0 2 * * *", duration="an hour"),
    _suppression(".timeZone", _ZONE, schedule="0 2 * * *", duration="1h", timeZone="Central European Time"),
    _suppression("", "timeZone says where schedule is read: set schedule as well", **_DATES, timeZone="UTC"),
    _suppression(".from", _MOMENT, **{**_DATES, "from": "2026-12-24"}),
    _suppression(".until", _MOMENT, **{**_DATES, "until": "2026-12-27T00:00:00"}),
    _suppression("", "until must be later than from: nothing would be suppressed", **{**_DATES, "until": _DATES["from"]}),
    _suppression("", _EITHER, schedule="0 2 * * *"),
    _suppression("", _EITHER, **_DATES, schedule="0 2 * * *", duration="1h"),
    _suppression("", _EITHER),
    _detector("spec.alerts.limits", "set perEntity, total, or both", alerts={"limits": {}}),
    *(
        _detector(f"spec.alerts.limits.{kind}.per", DURATION, alerts={"limits": {kind: {"episodes": 1, "per": "0h"}}})
        for kind in ("perEntity", "total")
    ),
    _detector("spec.alerts.severities[0].name", NAME, alerts={"severities": [{"name": "Warning", "above": 1}]}),
    _detector(
        "spec.alerts.severities",
        "severities must differ in above or in for: a score would have two of them",
        alerts={"severities": [{"name": "warning", "above": 1}, {"name": "critical", "above": 1}]},
    ),
    _detector("spec.pod.resources.requests", QUANTITIES, pod={"resources": {"requests": {"cpu": "a lot"}}}),
    _detector("spec.pod.resources.limits", QUANTITIES, pod={"resources": {"limits": {"memory": "512MB"}}}),
    _detector("spec.entity.expireAfter", DURATION, entity={"key": {}, "expireAfter": "never"}),
    _detector("spec.memoryBudget", MEMORY, memoryBudget="256MB"),
    _detector("spec.memoryBudget", MEMORY, memoryBudget=65536),
    _detector("spec", _ROOM, memoryBudget="353Mi"),
    _detector("spec", _ROOM, pod={"resources": {"limits": {"memory": "400M"}}}),
    _detector("spec.pod.resources", REQUESTS, pod={"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}}),
    _detector("spec.pod.labels", OWN, pod={"labels": {"app.kubernetes.io/name": "mine"}}),
    _detector("spec.pod.annotations", OWN, pod={"annotations": {"anomaly-operator.dev/runtime": "mine"}}),
    _detector("spec.modelStore", "set exactly one of: configMap, uri", modelStore={}),
    _detector("spec.modelStore.uri.uri", URI, modelStore={"uri": {"uri": "/models"}}),
    _detector(
        "spec.modelStore.uri",
        "a file:// URI needs claimName: the volume that holds the models",
        modelStore={"uri": {"uri": "file:///models"}},
    ),
]

MODELS = [
    _model("spec", "set exactly one of: trained, imported", imported={"origin": "elsewhere"}),
    _model(
        "spec",
        "calibration must have one entry for each window of interface, by its name",
        interface={"windows": [{"name": "long", "size": 12}]},
    ),
    _model("spec.digest", DIGEST, digest="7d41c0e2"),
    _model("spec.artifact", "set exactly one of: configMapRef, uri", artifact={"uri": {"url": "s3://models/v3.tar"}}),
    _model("spec.artifact.uri.url", URI, artifact={"configMapRef": None, "uri": {"url": "models/v3.tar"}}),
    _model(
        "spec.artifact.uri",
        "a file:// URL needs claimName: the volume that holds the archive",
        artifact={"configMapRef": None, "uri": {"url": "file:///v3.tar"}},
    ),
    _model("spec.interface.features[1]", FEATURE, interface={"features": ["force", "oil temperature"]}),
    *(
        _model(
            field,
            NAME,
            interface={"windows": [{"name": "short one", "size": 12}]},
            calibration=[{**trained_model()["spec"]["calibration"][0], "window": "short one"}],
        )
        for field in ("spec.interface.windows[0].name", "spec.calibration[0].window")
    ),
    _model(
        "spec.trained.heldOut[0].window",
        NAME,
        trained={"heldOut": [{"window": "short one", "windows": 1, "loss": 0.1, "p99": 0.2}]},
    ),
]
ROWS = [*DETECTORS, *MODELS]
