"""Layers, containers, initialisers, the notation and the named models."""
