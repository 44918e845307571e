"""Formats of messages beside JSON: each turns the bytes of one message into documents, as JSON objects would be."""
