"""What users hold: queries, images, data sets, experiments, runs, models, layers; thin, over the floors below."""
