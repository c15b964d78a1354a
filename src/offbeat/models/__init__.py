"""Fitted models as the command keeps them.

Reading order: `fitted` (the model, and its description in words that JSON can hold), `file` (the folder on disk).
"""
