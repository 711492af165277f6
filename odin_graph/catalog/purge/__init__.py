"""Purging: what is destroyed, in the graph, in arrays and in files."""
