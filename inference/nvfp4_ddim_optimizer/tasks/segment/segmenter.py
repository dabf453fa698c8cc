"""Segment pictures and volumes: the typed interface for users of the library."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from nvfp4_ddim_contracts.tasks.segment import SegmentParameters
from nvfp4_ddim_optimizer.errors import InvalidInputError, ModelNotSupportedError
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import RunOptions

from .instances import Instance, draw_overlay, find_instances
from .preprocess import Contrast, to_colour
from .sampling import MaskSampler, Progress
from .scan import Scan, check_size

__all__ = ["Segmentation", "Segmenter", "doubt"]

_DEFAULTS = SegmentParameters()


@dataclass(frozen=True)
class Segmentation:
    """What was found in a stack of S slices (S = 1 for a picture).

    Attributes:
        scan: What was segmented.
        contrast: How it was normalised.
        threshold: Probability above which a pixel belongs to the mask.
        mask: [S, H, W] bool.
        labels: [S, H, W] int32: the number of the instance within its slice, 0 outside.
        probability: [S, H, W] float16, the mean of the samples.
        uncertainty: [S, H, W] float16 in [0, 1], in bits; see `doubt`.
        instances: Pieces of the mask, slice by slice; those that touch are parted.
    """

    scan: Scan
    contrast: Contrast
    threshold: float
    mask: NDArray[np.bool_]
    labels: NDArray[np.int32]
    probability: NDArray[np.float16]
    uncertainty: NDArray[np.float16]
    instances: list[Instance]

    def overlay(self, index: int = 0) -> Image.Image:
        """One slice with the outlines of its mask, and doubtful places marked."""
        values = to_colour(self.scan.slices[index])
        span = max(self.contrast.high - self.contrast.low, 1e-12)
        picture = np.clip((values - self.contrast.low) / span, 0, 1)
        if not self.contrast.bright_background:
            picture = np.sqrt(picture)  # as the model sees it: dim nuclei are visible
        return draw_overlay(picture, self.mask[index], self.uncertainty[index].astype(np.float32))


def doubt(p: NDArray[np.float32]) -> NDArray[np.float32]:
    """Uncertainty of probabilities [H, W] in bits: 0 where sure, 1 at 1/2.

    Two thirds are the entropy of the pixel, one third the mean entropy of its 3x3 neighbours: a
    sure pixel beside unsure ones is less sure than it looks.
    """
    p = np.clip(p, 1e-7, 1 - 1e-7)
    entropy = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    return np.asarray((2 * entropy + ndimage.uniform_filter(entropy, 3)) / 3, np.float32)


class Segmenter:
    """A loaded model that marks nuclei.

    Example:
        >>> model = OptimizationPipeline.from_preset("nuclei-128")
        >>> found = model.segment(image)
        >>> found.mask[0], len(found.instances)
    """

    def __init__(self, model: TaskModel) -> None:
        """Take a model's components.

        Raises:
            ModelNotSupportedError: They are not those of a segmentation model.
        """
        self._sampler = MaskSampler(model)
        threshold = model.options.get("threshold")
        if not isinstance(threshold, float) or not 0 < threshold < 1:
            raise ModelNotSupportedError("the model's options state no threshold in (0, 1)")
        self.threshold = threshold

    def segment(
        self,
        image: Image.Image | NDArray[np.generic] | Scan,
        parameters: SegmentParameters = _DEFAULTS,
        options: RunOptions | None = None,
    ) -> Segmentation:
        """Segment a picture or all slices of a scan.

        Args:
            image: A picture; an array [H, W], [H, W, 3] or [H, W, 4] of any real dtype; or a scan
                as `read_scan` gives it.
            parameters: Samples, threshold, scale, least area.
            options: DDIM steps (10 if None), seed and callbacks.

        Raises:
            InvalidInputError: The picture is too large, or not finite.
            GenerationCancelled: `should_cancel` said so.
        """
        options = options or RunOptions(num_inference_steps=10, seed=0)
        scan = image if isinstance(image, Scan) else _as_scan(image)
        count, height, width = scan.slices.shape[:3]
        scaled = [max(1, round(side * parameters.rescale)) for side in (height, width)]
        check_size(count, *scaled)
        timesteps = self._sampler.diffusion.uniform_timesteps(options.num_inference_steps)
        batches = self._sampler.batches(self._sampler.plan(*scaled), parameters.samples)
        progress = Progress(count * batches * len(timesteps), options)
        contrast = scan.contrast()
        probability = np.zeros((count, height, width), np.float16)
        for index in range(count):
            normalised = contrast.apply(to_colour(scan.slices[index]))
            view = _resize(normalised, scaled[0], scaled[1])
            mean = self._sampler.sample(view, parameters.samples, timesteps, progress)
            probability[index] = _resize(mean[None], height, width)[0]
        return self._result(scan, contrast, probability, parameters)

    def _result(
        self,
        scan: Scan,
        contrast: Contrast,
        probability: NDArray[np.float16],
        parameters: SegmentParameters,
    ) -> Segmentation:
        threshold = self.threshold if parameters.threshold is None else parameters.threshold
        uncertainty = np.zeros(probability.shape, np.float16)
        labels = np.zeros(probability.shape, np.int32)
        instances: list[Instance] = []
        spacing = scan.spacing_mm
        for index, p in enumerate(probability):
            uncertain = doubt(p.astype(np.float32))
            uncertainty[index] = uncertain
            labels[index], found = find_instances(
                p.astype(np.float32) > threshold,
                uncertain,
                min_area=parameters.min_area,
                slice_index=index,
                pixel_mm2=None if spacing is None else spacing[0] * spacing[1],
            )
            instances += found
        return Segmentation(
            scan, contrast, threshold, labels > 0, labels, probability, uncertainty, instances
        )


def _as_scan(image: Image.Image | NDArray[np.generic]) -> Scan:
    if isinstance(image, Image.Image):
        plain = image.mode in {"L", "RGB", "I", "I;16", "F"}
        image = np.asarray(image if plain else image.convert("RGB"))
    if image.ndim not in {2, 3} or (image.ndim == 3 and image.shape[2] not in {1, 3, 4}):
        raise InvalidInputError(
            f"an image has the shape [H, W], [H, W, 3] or [H, W, 4], not {list(image.shape)}"
        )
    check_size(*image.shape[:2])
    return Scan("image", image[None])


def _resize(channels: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resample [C, H, W] by Pillow's area-aware bilinear filter; equal sizes are left alone."""
    if channels.shape[1:] == (height, width):
        return channels
    resized = [
        np.asarray(Image.fromarray(each).resize((width, height), Image.Resampling.BILINEAR))
        for each in channels
    ]
    return np.stack(resized)
