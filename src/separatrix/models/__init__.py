"""Vectors out of a transformer: backbone, attention, text cache, suffix prompt, pooling."""
