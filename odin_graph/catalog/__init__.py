"""The records of a workspace: images, data sets, models, experiments, prediction sets, and the leases of writers."""
