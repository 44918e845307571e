"""What is wrong with a broker, a topic or a permission, in sentences that say what to do."""
