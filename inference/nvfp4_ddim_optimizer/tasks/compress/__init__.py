"""A picture codec for slow links: a learned transform for photographs, palettes for pages.

codec            pictures to files of a given size, and back
container        the file
deblocking       borders of blocks in the base, smoothed
transforms       pixels to the latent and back, in floating point
latent_coder     quantise and code the latent, in whole numbers alone
entropy_model    what the decoder knows of an element before it reads it
integer_network  convolutions that give the same numbers on every machine
stages           the order of coding
symbols          range coding with frequency tables (constriction)
page, adaptive   few colours, coded in contexts of their neighbours
rate_control     settings whose file has a given size
refinement       diffusion in the decoder
task             the same on files
"""

from nvfp4_ddim_contracts.tasks.compress import Content, Quality

from .codec import EncodedPicture, PictureCodec, Stage
from .task import CompressTask, DecompressTask, open_picture

__all__ = [
    "CompressTask",
    "Content",
    "DecompressTask",
    "EncodedPicture",
    "PictureCodec",
    "Quality",
    "Stage",
    "open_picture",
]
