"""Models, checkpoints and their weights."""
