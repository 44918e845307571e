"""The demo: a stream with known anomalies, a detector that must find them, and a terminal that shows both.

It uses what a user would use (kubectl's API, Kafka, the chart) and nothing of the operator's insides.
"""
