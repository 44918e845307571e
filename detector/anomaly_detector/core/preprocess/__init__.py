"""Readings to windows: event-time order, late and duplicate readings, imputation, window buffers."""
