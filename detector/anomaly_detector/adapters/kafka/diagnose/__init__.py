"""Diagnoses of brokers, topics and permissions, in sentences that say what to do."""
