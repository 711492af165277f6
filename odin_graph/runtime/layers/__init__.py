"""Layers of a torch module: finding them and hooking into them."""
