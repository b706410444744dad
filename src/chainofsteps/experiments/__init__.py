"""The experiments: which streams are run, and what is measured on them; a module each, and what they share."""
