"""Tables: from columns of numbers, text and categories to a matrix of features.

Reading order: `columns` (which columns can be used, as what), `encoding` and `convert` (to numbers), `table` (what
every table looks like), `in_memory` (pandas, polars, Arrow). Each of `common_type`, `numeric_text` and `pandas_index`
answers one question.
"""
