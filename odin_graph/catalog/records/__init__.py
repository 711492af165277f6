"""What every kind of record shares: leases, segments, files, updates, deletion, tombstones, views and tokens."""
