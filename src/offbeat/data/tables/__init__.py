"""Tables: from columns of numbers, text and categories to a matrix of features.

Reading order: `columns` (which columns can be used, as what), `encoding` and `convert` (to numbers), `matrix` (rows
that arrive in batches), `table` (what every table looks like), `in_memory` (pandas, polars, Arrow). `common_type`,
`text_numbers` and `pandas_index` answer one question each.
"""
