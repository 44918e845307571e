"""`make bench`: how fast the detector is beside plain loops, the usual tutorial and a stream library, on a real Kafka.

Everything runs on one machine in one go, contestant after contestant, round after round: absolute figures depend on the machine
and on what else it does, so what counts is the ratio within a round, and the median over rounds.
"""
