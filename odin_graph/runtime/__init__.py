"""Running a torch model: definitions, hooks, layers, batches, devices."""
