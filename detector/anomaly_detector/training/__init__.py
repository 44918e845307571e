"""Training: readings in, a registered model out. It runs in a Job of its own; scoring pods never import it.

`job` is the course of a training, `data` the readings and windows, `models` the kinds of model, a file each, `learning` fits one
for each window and `export` makes its graph, `calibrate` boils held-out scores down, `store` and `registry` put the result where
the operator finds it. Only `models`, `learning` and `export` import torch, and they are imported once there is enough data:
waiting for it costs little memory.
"""
