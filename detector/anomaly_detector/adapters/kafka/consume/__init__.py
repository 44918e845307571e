"""Reading from Kafka: group membership and batches of the source topic."""
