"""One thing a file: image, data set, experiment, run, model, checkpoint, prediction set."""
