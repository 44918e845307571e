"""`topic`, the command that the demo and `make up` tell people to type."""

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from dev import topic
from dev.environment.kafka.broker import Broker

pytestmark = pytest.mark.integration


@pytest.mark.timeout(60)
def test_reading_without_following_ends_behind_the_last_transaction(kafka: Broker, capsys: pytest.CaptureFixture[str]) -> None:
    name = "read-to-the-end"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(name, num_partitions=2)])[name].result(20)
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": name})
    producer.init_transactions(20)
    for end, value in ((producer.commit_transaction, b"kept"), (producer.abort_transaction, b"aborted")):
        producer.begin_transaction()
        producer.produce(name, value, b"pump-1", partition=0)
        producer.flush(20)
        end(20)
    topic.read(kafka.bootstrap, name, follow=False)
    assert capsys.readouterr().out == "pump-1\tkept\n"
