"""`make demo-rollout`: five rollouts on a live stream, each with the end that it should have."""
