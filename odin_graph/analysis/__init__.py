"""Questions: how good, how different, which are typical, and the pictures of the answers."""
