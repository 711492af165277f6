"""What users work with: queries, images, data sets, experiments, runs, models, layers. A thin layer over the others."""
