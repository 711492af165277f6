"""The query builder that users see: steps, groups, answers, operations."""
