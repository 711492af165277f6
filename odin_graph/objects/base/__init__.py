"""What all objects and collections share: the verbs, rows, and the reading of "images"."""
