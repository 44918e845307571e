"""Looks for bytes that a scoring pod cannot bear: `python -m dev.verify.fuzz`. Coverage leads it, by atheris and libFuzzer.

`laws.py` says what must hold for any messages; the property tests hold the detector to the same laws with messages of their own.
"""
