"""From a problem and data to a certified solution.

Reading order: `inspection` (what is known of the data before the first step), `choice` and `costs` (``solver="auto"``),
`settings` (what a fit is told), `solve` (one fit), `solution` (what comes out), `checkpoint` (a fit on disk),
`free_columns` (columns without penalty), `paths` (one fit for each strength of the penalty).
"""
