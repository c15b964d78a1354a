"""Methods made of other methods.

`fallback` changes to a second method where the first goes badly; `row_space` solves problems with more columns than
rows in the span of the rows (`row_span`).
"""
