"""Speed, as ratios against a peer in the same run; every script checks its answers."""
