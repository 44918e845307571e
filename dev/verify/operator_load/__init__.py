"""The operator under load: a thousand detectors on a real API server, with pods that only answer. `make bench-operator`."""
