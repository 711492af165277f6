"""The routes, one concept a file."""
