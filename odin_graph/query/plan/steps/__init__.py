"""The steps of plans: a file for each, with all that is known of it."""
