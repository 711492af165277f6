"""Stored activations and vectors: what there is, what it takes, and how it is read."""
