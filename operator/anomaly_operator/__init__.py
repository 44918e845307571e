"""The operator: turns AnomalyDetectors into models, pods and statuses. It scores nothing itself."""
