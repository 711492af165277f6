"""Models: capturing their code, weights and environment, and making them again."""
