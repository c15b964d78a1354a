"""What races have in common: problems, objective, reference, workers, tables and plots."""
