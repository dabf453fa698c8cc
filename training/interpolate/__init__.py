"""Training of `climate-6h`: data and split, regression, diffusion, export."""
