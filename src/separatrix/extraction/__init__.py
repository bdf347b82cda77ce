"""Texts in, points out: hidden states, logits, tokens, outputs of a trained prompt."""
