"""Segmentation by diffusion over the latent of the mask, conditioned on the latent of the image.

reading     a file of any kind -> scan (pictures, dicom, nifti)
preprocess  scan -> what the networks were trained on
tiles       any size by overlapping tiles
sampling    several masks by DDIM
instances   mask -> pieces, areas, overlay
segmenter   all of it on arrays
task        all of it on files
"""

from .instances import Instance
from .reading import read_scan
from .scan import Scan
from .segmenter import Segmentation, Segmenter
from .task import SegmentTask

__all__ = ["Instance", "Scan", "SegmentTask", "Segmentation", "Segmenter", "read_scan"]
