"""Plans as Cypher statements."""
