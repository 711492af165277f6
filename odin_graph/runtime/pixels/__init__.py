"""Pixels to tensors: preparing what a model takes."""
