"""The denoising loop: orders of the latent frames, streams, observers."""
