"""What every layer may use and that knows nothing of fits: lazy imports, atomic files, records as JSON and arrays.

Read `lazy`, `atomic` and `codec` in any order.
"""
