"""The codec as tasks on files."""

import io
import math
from collections.abc import Mapping
from typing import ClassVar

from PIL import Image, ImageOps, UnidentifiedImageError

from nvfp4_ddim_contracts.tasks import TaskSpec
from nvfp4_ddim_contracts.tasks.compress import (
    COMPRESS_SPEC,
    COMPRESSED_MEDIA_TYPE,
    DECOMPRESS_SPEC,
    CompressParameters,
    CompressReport,
    Content,
    DecompressParameters,
    DecompressReport,
    Quality,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.base import OutputFile, RunOptions, Task, TaskOutput

from .codec import PictureCodec
from .container import MAX_PIXELS, Mode, unpack

__all__ = ["CompressTask", "DecompressTask", "open_picture"]


def open_picture(data: bytes) -> Image.Image:
    """A picture file as RGB, upright, transparent parts white.

    Raises:
        InvalidInputError: It is no picture, truncated, or too large.
    """
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise InvalidInputError(
                    f"the picture has {opened.width}x{opened.height} pixels; up to "
                    f"{MAX_PIXELS // 2**20} Mi pixels can be compressed"
                )
            upright = ImageOps.exif_transpose(opened)
            if not upright.has_transparency_data:
                return upright.convert("RGB")
            layers = upright.convert("RGBA")
            paper = Image.new("RGBA", layers.size, "white")
            return Image.alpha_composite(paper, layers).convert("RGB")
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidInputError(
            f"the file is no picture that can be read (PNG, JPEG, WebP, TIFF, BMP): {error}"
        ) from error


class CompressTask(Task[CompressParameters, CompressReport]):
    """Picture file to compressed file."""

    spec: ClassVar[TaskSpec] = COMPRESS_SPEC

    def __init__(self, model: TaskModel) -> None:
        """Take a model's components."""
        super().__init__(model)
        self.codec = PictureCodec(model)

    def run(
        self, inputs: Mapping[str, bytes], parameters: CompressParameters, options: RunOptions
    ) -> TaskOutput[CompressReport]:
        """Compress `image`; one file, `picture.ndpc`."""
        image = open_picture(inputs["image"])
        encoded = self.codec.compress(
            image,
            parameters.target_bitrate,
            quality=parameters.quality,
            content=parameters.content,
            seed=options.seed,
        )
        report = CompressReport(
            width=image.width,
            height=image.height,
            original_bytes=len(inputs["image"]),
            compressed_bytes=len(encoded.data),
            bitrate=8 * len(encoded.data) / (image.width * image.height),
            target_bitrate=parameters.target_bitrate,
            content=encoded.content,
            quality=parameters.quality,
            psnr=None if math.isinf(encoded.psnr) else encoded.psnr,
            model_id=self.codec.model_id.hex(),
        )
        return TaskOutput(
            report, (OutputFile("picture.ndpc", COMPRESSED_MEDIA_TYPE, encoded.data),)
        )


class DecompressTask(Task[DecompressParameters, DecompressReport]):
    """Compressed file to PNG."""

    spec: ClassVar[TaskSpec] = DECOMPRESS_SPEC

    def __init__(self, model: TaskModel) -> None:
        """Take a model's components."""
        super().__init__(model)
        self.codec = PictureCodec(model)

    def run(
        self, inputs: Mapping[str, bytes], parameters: DecompressParameters, options: RunOptions
    ) -> TaskOutput[DecompressReport]:
        """Decompress `picture`; one file, `picture.png`. The noise's seed is the file's."""
        data = inputs["picture"]
        header = unpack(data)
        wanted = None if parameters.quality == "as_encoded" else Quality(parameters.quality)
        image = self.codec.decompress(
            data,
            quality=wanted,
            num_inference_steps=options.num_inference_steps,
            on_step=options.on_step,
            should_cancel=options.should_cancel,
        )
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        report = DecompressReport(
            width=image.width,
            height=image.height,
            compressed_bytes=len(data),
            bitrate=8 * len(data) / (image.width * image.height),
            content=Content.PAGE if header.mode is Mode.PAGE else Content.PHOTO,
            refined=self.codec.is_refined(header, wanted),
        )
        return TaskOutput(report, (OutputFile("picture.png", "image/png", buffer.getvalue()),))
