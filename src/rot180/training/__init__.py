"""Optimisers, schedules, the loop, its events, metrics. Neither prints nor draws."""
