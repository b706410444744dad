"""Videos as files: written, read, and the tree of a bench of them."""
