"""Convolutional networks you can see through, at the speed of the machine."""

__version__ = "0.1.0"
