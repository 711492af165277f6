"""Layers and units of a model, and questions about them."""
