"""For astronomers: an image operation and a leak rule, found by odin_graph through their entry points."""
