"""Messages to columns: decoding, exact errors, the guard against future times, dead letters."""
