"""Names to what they mean: scopes, binding, relations, prediction sets, sources."""
