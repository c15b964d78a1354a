"""Data sets: each file has a class `Dataset`."""
