"""The run folder: configuration, history, weights and pictures of one training."""
