"""For astronomers: an image operation and a leak key, found by odin_graph through their entry points."""
