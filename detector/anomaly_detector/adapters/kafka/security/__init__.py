"""Credentials for librdkafka: TLS files, SASL, OAuth tokens."""
