"""Training: trainer, optimisers, losses, and the engines that evaluate networks."""
