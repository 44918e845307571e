"""The operator's senses and hands: the API server, the pods' evidence, the Lease. They decide nothing."""
