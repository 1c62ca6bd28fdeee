"""Compiled twins of `rot180.ops` (Numba): same names and arguments, no policy."""
