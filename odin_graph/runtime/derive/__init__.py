"""Derived images: operations run over many images, in processes."""
