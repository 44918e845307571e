"""Scaling out, measured: 1 to 8 pods over 24 partitions, what a reading costs, and what a rebalance stops."""
