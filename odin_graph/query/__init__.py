"""Expressions and nodes -> logical plan -> columns, Cypher, arrays and vectors; the executor."""
