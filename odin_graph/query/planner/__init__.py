"""From a plan to operators: rewriting, estimates, selectivity, explain."""
