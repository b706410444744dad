"""Estimands, inference and verdicts: what the features datasets say about each entry of ``config/claims.yaml``."""
