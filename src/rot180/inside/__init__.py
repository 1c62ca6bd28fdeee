"""Seeing inside: every number of a network shown, explained and checked."""
