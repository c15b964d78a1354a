"""``partial_fit``: rows that come in batches.

Reading order: `batches` (what every stream checks), `least_squares` (exact), `objective` and `glm` (other losses),
`regression` and `classes` (their ``partial_fit``).
"""
