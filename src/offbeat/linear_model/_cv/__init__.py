"""Cross-validation: `folds`, `grid` (many fits over shared passes), `gram` (least squares), `scoring`."""
