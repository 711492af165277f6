"""Real servers for the tests, one of each kind a session."""
