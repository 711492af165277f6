"""The formats that are read without a package of anybody else: a reader a family, by its entry point."""
