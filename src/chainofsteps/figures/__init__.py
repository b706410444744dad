"""Seaborn figures, one function each: datasets in, a matplotlib Figure out."""
