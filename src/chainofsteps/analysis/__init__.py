"""Measures on arrays: similarity of representations, energy of tokens, linear probes."""
