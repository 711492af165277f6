"""Stored activations and vectors: which sets there are, how much space they take, and how they are read."""
