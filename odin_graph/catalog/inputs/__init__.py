"""What one input of a model is: one image, the images of a stack, or those of a group."""
