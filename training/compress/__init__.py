"""Training of the picture codec `photo-codec`."""
