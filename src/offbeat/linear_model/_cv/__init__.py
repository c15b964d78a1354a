"""Cross-validation.

Reading order: `folds` (which rows), `grid` (many fits over shared passes), `gram` (least squares from Gram matrices),
`scoring`, `routing` (scikit-learn's metadata).
"""
