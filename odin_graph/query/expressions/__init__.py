"""Expressions over fields: nodes, types, functions, aggregates, spelling, and their evaluation over Arrow columns."""
