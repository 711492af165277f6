"""What is written as records: images, data sets, models, experiments, prediction sets, and who is writing them."""
