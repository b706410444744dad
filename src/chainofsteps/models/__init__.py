"""Image-to-video models: check a folder, load it, build and train the mini reasoner."""
