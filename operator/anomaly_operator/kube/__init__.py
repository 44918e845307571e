"""The Kubernetes API: client, informer cache, executor of plans, resync."""
