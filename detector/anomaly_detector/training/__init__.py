"""Training: readings in, a registered model out. It runs in a Job of its own; scoring pods never import it.

`job` is the course of a training, `source_*` where readings come from, `samples` what is kept of them, `scaling`,
`network`, `fitting` and `export` make a graph for each window, `calibrating` boils held-out scores down, `store` and
`registry` put the result where the operator finds it. Only `network`, `fitting` and `export` import torch, and they are
imported once there is enough data: waiting for it costs little memory.
"""
