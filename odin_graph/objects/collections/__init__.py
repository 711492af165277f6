"""`db.images`, `db.datasets`, ...: one collection in each file."""
