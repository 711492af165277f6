"""`db.images`, `db.datasets`, ...: one collection a file."""
