"""`kubectl anomaly`: detectors, rollouts, models, alerts and labels from a terminal.

It speaks to clusters through `kubectl` alone, so whatever `kubectl` can log in to, it can; it keeps no credentials and needs no
access to Kafka. It meets the operator in the contract (`anomaly_api`) and in the API server, and imports neither side's code.
"""
