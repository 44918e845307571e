"""Apache Kafka for development and tests: one broker (KRaft), on this machine's loopback or inside the cluster.

Its data goes with it; `stop`, `kill` and `start` of a running broker keep them.
"""
