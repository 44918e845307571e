"""The running operator: kopf handlers, work queue, reconciler, leader election, probes."""
