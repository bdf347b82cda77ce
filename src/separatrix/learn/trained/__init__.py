"""Trained models in use, saved and loaded again."""
