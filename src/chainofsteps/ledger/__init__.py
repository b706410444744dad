"""What is a result made of: sources of a rule, stages of the ledger. Knows nothing of the science."""
