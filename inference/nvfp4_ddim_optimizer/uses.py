"""The four uses as methods of a pipeline, on pictures and arrays."""

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nvfp4_ddim_contracts.tasks import TaskName
from nvfp4_ddim_contracts.tasks.analyze import AnalyzeMethod
from nvfp4_ddim_contracts.tasks.segment import SegmentParameters
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.task_methods import TaskMethods
from nvfp4_ddim_optimizer.tasks.analyze import AnalyzeTask, LeafAnalysis
from nvfp4_ddim_optimizer.tasks.base import RunOptions
from nvfp4_ddim_optimizer.tasks.compress import CompressTask, Content, DecompressTask, Quality
from nvfp4_ddim_optimizer.tasks.interpolate import (
    Frames,
    InterpolateTask,
    PictureInterpolationTask,
    even_fractions,
    interpolate,
)
from nvfp4_ddim_optimizer.tasks.segment import Scan, Segmentation, SegmentTask

if TYPE_CHECKING:
    import xarray

__all__ = ["Uses"]

_BITRATE = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(?:bpp)?\s*", re.IGNORECASE)


class Uses(TaskMethods):
    """The part of a pipeline for people who write Python; `run` is the same on files.

    Each method raises ModelNotSupportedError, naming a model that can, where this one can't.
    """

    def segment(
        self,
        image: "Image.Image | NDArray[np.generic] | Scan",
        *,
        samples: int = 4,
        num_inference_steps: int | None = None,
        seed: int = 0,
    ) -> Segmentation:
        """Find nuclei in a microscope picture, with a map of what is uncertain. No medical device.

        Args:
            image: A picture, an array [H, W], [H, W, 3] or [H, W, 4], or a scan of `read_scan`.
            samples: Masks that are drawn, 1 to 32; more tell better where the model is not sure.
            num_inference_steps: DDIM steps; the preset's number if None.
            seed: Of their noise.

        Returns:
            Mask, probability, uncertainty and instances.

        Raises:
            InvalidInputError: The picture is too large, or a number is out of range.
        """
        task = cast("SegmentTask", self.task(TaskName.SEGMENT))
        parameters = self._parameters(TaskName.SEGMENT, {"samples": samples})
        options = RunOptions(self._steps(num_inference_steps), seed)
        return task.segmenter.segment(image, cast("SegmentParameters", parameters), options)

    def compress(
        self,
        image: Image.Image,
        target_bitrate: float | str = "0.1bpp",
        quality: Quality | str = Quality.FIDELITY,
        *,
        content: Content | str = Content.AUTO,
        seed: int = 0,
    ) -> bytes:
        """Compress a picture to a given size.

        Args:
            image: Any size; converted to RGB.
            target_bitrate: Bits a pixel, as a number or as "0.1bpp".
            quality: "fidelity": near to the original; "perceptual": the decoder adds detail by
                diffusion, which the bundled model does not do well yet; "strict": as fidelity,
                and the size is exceeded by at most 1 byte a kilobyte.
            content: "photo", "page" (few colours, sharp edges), or "auto".
            seed: Of the detail's noise; it is stored in the file.

        Returns:
            The file.

        Raises:
            InvalidInputError: The picture can't be made so small, or an argument is wrong.
        """
        task = cast("CompressTask", self.task(TaskName.COMPRESS))
        encoded = task.codec.compress(
            image,
            _parse_bitrate(target_bitrate),
            quality=_member(Quality, quality, "quality"),
            content=_member(Content, content, "content"),
            seed=seed,
        )
        return encoded.data

    def decompress(
        self,
        blob: bytes,
        *,
        quality: Quality | str | None = None,
        num_inference_steps: int | None = None,
    ) -> Image.Image:
        """Decompress a file of `compress`.

        Args:
            blob: The file.
            quality: Whether to add detail; as the file says if None.
            num_inference_steps: DDIM steps of the detail; the preset's number if None.

        Returns:
            An RGB picture.

        Raises:
            InvalidInputError: It is no such file, damaged, or of another model.
        """
        task = cast("DecompressTask", self.task(TaskName.DECOMPRESS))
        return task.codec.decompress(
            blob,
            quality=None if quality is None else _member(Quality, quality, "quality"),
            num_inference_steps=self._steps(num_inference_steps),
        )

    def interpolate(
        self,
        start_state: Any,
        end_state: Any,
        num_steps: int = 5,
        *,
        members: int = 4,
        num_inference_steps: int | None = None,
        seed: int = 0,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> "Frames | xarray.Dataset | list[Image.Image]":
        """Make the states between two.

        Args:
            start_state: A field: xarray Dataset or DataArray of one time, or an array [H, W], NaN
                where missing. Or a picture, for a model that paints.
            end_state: The same, later.
            num_steps: Frames in between; both ends come too, as they are.
            members: Fields: size of the ensemble.
            num_inference_steps: DDIM steps; the preset's number if None.
            seed: Fields: member k uses seed + k.
            start_time: Arrays: when, in UTC.
            end_time: Arrays: when, in UTC.

        Returns:
            A Dataset for Datasets, `Frames` for arrays, RGB pictures for pictures.

        Raises:
            InvalidInputError: The states can't be used, or too little is known of them.
        """
        task = self.task(TaskName.INTERPOLATE)
        steps = self._steps(num_inference_steps)
        pictures = isinstance(start_state, Image.Image) and isinstance(end_state, Image.Image)
        if isinstance(task, PictureInterpolationTask):
            if not pictures:
                raise InvalidInputError(
                    f"{self._model_name} interpolates pictures: for fields use "
                    f"OptimizationPipeline.from_preset({task.spec.model!r})"
                )
            fractions = even_fractions(num_steps)
            return task.frames(start_state, end_state, fractions, num_inference_steps=steps)
        if pictures:
            raise InvalidInputError(
                f"{self._model_name} interpolates fields: for pictures use a model that paints, "
                "such as OptimizationPipeline.from_preset('emoji-64')"
            )
        return interpolate(
            cast("InterpolateTask", task).interpolator,
            start_state,
            end_state,
            num_steps,
            members=members,
            num_inference_steps=steps,
            seed=seed,
            start_time=start_time,
            end_time=end_time,
        )

    def analyze(
        self,
        photo: Image.Image,
        *,
        method: AnalyzeMethod | str = AnalyzeMethod.THOROUGH,
        num_inference_steps: int | None = None,
        seed: int = 0,
    ) -> LeafAnalysis:
        """Report on the leaf of a photo: disease, probability, where, how much, what to do.

        Args:
            photo: Any size; its EXIF orientation is honoured.
            method: "fast": one pass, no heat map, no severity; or "thorough".
            num_inference_steps: Noise levels of the thorough method; the preset's number if None.
            seed: Of their noise.

        Raises:
            InvalidInputError: The photo is too small, or the method unknown.
        """
        task = cast("AnalyzeTask", self.task(TaskName.ANALYZE))
        steps = self._steps(num_inference_steps)
        return task.analyzer.analyze(photo, method=method, num_inference_steps=steps, seed=seed)


def _parse_bitrate(given: float | str) -> float:
    if not isinstance(given, str):
        return given
    match = _BITRATE.fullmatch(given)
    if match is None:
        raise InvalidInputError(f"can't read {given!r} as a bit rate: write 0.1 or '0.1bpp'")
    return float(match.group(1))


def _member(kind: Any, given: Any, name: str) -> Any:
    try:
        return kind(given)
    except ValueError:
        known = ", ".join(kind)
        raise InvalidInputError(f"{name} is one of {known}, not {given!r}") from None
