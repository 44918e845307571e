"""Measuring and torturing: benchmarks, scaling, torture schedules, fuzzing."""
