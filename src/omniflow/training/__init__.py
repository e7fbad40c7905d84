"""Training: losses, optimisers and the trainer (TensorFlow is imported here)."""
