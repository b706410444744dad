"""Do denoising steps reason? A replication of *Demystifing Video Reasoning* (arXiv:2603.16870)."""
