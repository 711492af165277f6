"""Experiments: metrics, provenance, predictions and their scores."""
