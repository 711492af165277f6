"""Questions about the units of a layer, each asked of a stream of slabs: some units, all images."""
