"""The operators that answer a plan over columns."""
