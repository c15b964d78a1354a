"""``partial_fit``: rows that come in batches.

Reading order: `batches` (what every stream checks), `least_squares`, `objective` and `glm`, `classes`.
"""
