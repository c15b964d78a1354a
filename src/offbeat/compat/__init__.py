"""Classes with the names and parameters of other libraries: only the import line of a program changes.

`dask_ml` has those of ``dask_ml.linear_model``.
"""
