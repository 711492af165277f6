"""Training: loaders, targets and runs."""
