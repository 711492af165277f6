"""Purge: destroy images in the graph, in arrays and in files."""
