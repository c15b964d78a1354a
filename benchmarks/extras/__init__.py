"""Measurements that are no race: each file has a function `measure`."""
