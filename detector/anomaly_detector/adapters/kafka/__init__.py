"""Kafka: reading the source topic, writing alerts and dead letters, watching whether the broker and the topics are there."""
