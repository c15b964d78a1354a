"""Data that lies on a cluster.

Reading order: `partitions` (what workers do with each partition), `dataset` (what the coordinator holds, and asks).
"""
