"""A database for deep learning over images: lineage, pixels, predictions and activations in one query."""
