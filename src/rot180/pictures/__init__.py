"""Curves, kernels, feature maps, confusion matrix and mistakes as PNG and SVG, drawn from arrays alone."""
