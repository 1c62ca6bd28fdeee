"""What `fit` and `predict` run: a network and a batch become losses, gradients and updates."""
