"""A report on a potato leaf, from one latent diffusion model used in two ways.

photo ──leaf──> crop ──patch transform──> latents ┬─ one pass, encoder only ── linear head
                                                  └─ errors of each class's prediction, and where

photo              bytes to an upright picture
leaf               where the leaf is, by colour
features           the encoder's features: class, and how unlike the training's leaves
prediction_errors  the generative classifier
heat_map           where, and how much of the leaf
advice             what to do, with sources
options            what calibration found
analyzer           all of it
task               the same on bytes
"""

from .analyzer import LeafAnalysis, LeafAnalyzer, LeafScores
from .task import AnalyzeTask

__all__ = ["AnalyzeTask", "LeafAnalysis", "LeafAnalyzer", "LeafScores"]
