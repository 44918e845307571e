"""The proof by killing: a recorded stream is scored while pods and the broker are killed, and the alerts must not tell.

`python -m dev.verify.torture --schedules 500 --seed 1`; a seed that fails is printed; `--schedules 1 --seed <it>` plays it again.
"""
