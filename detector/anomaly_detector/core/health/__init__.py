"""How far and how fast a pod goes: progress, lag, stalls."""
