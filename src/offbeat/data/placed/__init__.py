"""Data that lies on a cluster: `dataset` (what the driver holds), `parts` (what is done to each part where it lies)."""
