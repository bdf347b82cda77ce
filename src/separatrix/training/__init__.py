"""Labelled texts in, a trained model with its figures out: run, evaluate, groups, diagnostics, pictures."""
