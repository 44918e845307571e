"""State per partition: tasks, the changelog, checkpoints and restoring from them."""
