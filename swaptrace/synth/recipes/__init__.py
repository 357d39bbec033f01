"""The recipes: one file, one rule, one source each."""
