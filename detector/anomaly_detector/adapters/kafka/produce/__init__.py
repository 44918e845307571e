"""Writing to Kafka: alerts, dead letters, state and offsets, exactly once or at least once."""
