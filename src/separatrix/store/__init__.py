"""The disk: whole files or none, ragged rows, tensors, tables."""
