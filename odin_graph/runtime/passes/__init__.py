"""Passes of a model over images: predictions, embeddings, units."""
