"""The training loop and what belongs to it: optimiser, schedule, micro-batches, checkpoints, callbacks."""
