"""The contract: what users write, what the operator tells the pods, what the pods report. Pydantic only.

Nothing here acts. The CRDs are generated from these models (`crd.py`), the operator and the detector both import them,
and neither imports the other.
"""
