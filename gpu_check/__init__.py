"""Proof on one machine with a GPU, by one command: `tools/gpu_check.sh`, which is `python -m gpu_check`.

Each part runs in a process of its own, with a time limit: what hangs, crashes or runs out of memory loses itself alone.
"""
