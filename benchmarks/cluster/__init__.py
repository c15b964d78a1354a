"""What fits on a Dask cluster of two worker processes take, and what others take on the same data."""
