"""Compress a picture to a given size, and decompress it."""

from enum import StrEnum
from typing import Literal

from pydantic import Field

from nvfp4_ddim_contracts._base import Contract

from ._base import InputFile, InputSlot, TaskName, TaskRequest, TaskSpec

__all__ = [
    "COMPRESSED_MEDIA_TYPE",
    "COMPRESS_SPEC",
    "DECOMPRESS_SPEC",
    "MAX_BITRATE",
    "MIN_BITRATE",
    "CompressInputs",
    "CompressParameters",
    "CompressReport",
    "CompressRequest",
    "Content",
    "DecompressInputs",
    "DecompressParameters",
    "DecompressReport",
    "DecompressRequest",
    "Quality",
]

COMPRESSED_MEDIA_TYPE = "application/x-nvfp4-picture"
"""Of a compressed picture; such files are named `.ndpc`."""

MIN_BITRATE, MAX_BITRATE = 0.005, 8.0


class Quality(StrEnum):
    """What matters in a picture."""

    FIDELITY = "fidelity"
    PERCEPTUAL = "perceptual"
    STRICT = "strict"


class Content(StrEnum):
    """How a picture is coded."""

    AUTO = "auto"
    PHOTO = "photo"
    PAGE = "page"


class CompressInputs(Contract):
    """What is compressed."""

    image: InputFile


class CompressParameters(Contract):
    """How a picture is compressed."""

    target_bitrate: float = Field(
        0.1,
        ge=MIN_BITRATE,
        le=MAX_BITRATE,
        description="Bits a pixel. The file has this size to 5 %, or less where the highest "
        "quality takes less.",
    )
    quality: Quality = Field(
        Quality.FIDELITY,
        description="fidelity: near to the original. perceptual: the decoder adds plausible "
        "detail by diffusion. strict: as fidelity, and the file exceeds its target by at most "
        "1 byte a kilobyte.",
    )
    content: Content = Field(
        Content.AUTO,
        description="photo: by the learned transform. page: few colours with sharp edges, for "
        "text and drawings. auto: whichever has the smaller squared error.",
    )


class CompressReport(Contract):
    """What came of it."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    original_bytes: int = Field(description="Of the picture's file.")
    compressed_bytes: int = Field(description="Of the compressed file.")
    bitrate: float = Field(description="Bits a pixel.")
    target_bitrate: float = Field(description="Bits a pixel that were asked for.")
    content: Content = Field(description="How the picture was coded: photo or page.")
    quality: Quality
    psnr: float | None = Field(
        description="Peak signal-to-noise ratio of the base in dB; none where it is exact."
    )
    model_id: str = Field(description="The tables that a decoder needs, in hexadecimal.")


class CompressRequest(TaskRequest):
    """Ask for a compressed picture."""

    task: Literal[TaskName.COMPRESS] = TaskName.COMPRESS
    inputs: CompressInputs
    parameters: CompressParameters = Field(default_factory=CompressParameters)


class DecompressInputs(Contract):
    """What is decompressed."""

    picture: InputFile


class DecompressParameters(Contract):
    """How a picture is shown."""

    quality: Literal["as_encoded", "fidelity", "perceptual"] = Field(
        "as_encoded",
        description="fidelity: the base. perceptual: with detail added by diffusion. as_encoded: "
        "what was asked for when it was compressed.",
    )


class DecompressReport(Contract):
    """What came of it."""

    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    compressed_bytes: int = Field(description="Of the compressed file.")
    bitrate: float = Field(description="Bits a pixel.")
    content: Content = Field(description="How the picture was coded: photo or page.")
    refined: bool = Field(description="Whether detail was added by diffusion.")


class DecompressRequest(TaskRequest):
    """Ask for the picture in a compressed file."""

    task: Literal[TaskName.DECOMPRESS] = TaskName.DECOMPRESS
    inputs: DecompressInputs
    parameters: DecompressParameters = Field(default_factory=DecompressParameters)


COMPRESS_SPEC = TaskSpec(
    name=TaskName.COMPRESS,
    summary="Compress a photograph or a page to a given number of bits a pixel.",
    model="photo-codec",
    inputs=(
        InputSlot(
            "image",
            ("image/png", "image/jpeg", "image/webp", "image/tiff", "image/bmp"),
            32 * 1024 * 1024,
        ),
    ),
    request=CompressRequest,
    parameters=CompressParameters,
    report=CompressReport,
)

DECOMPRESS_SPEC = TaskSpec(
    name=TaskName.DECOMPRESS,
    summary="Decompress a picture that was compressed with `compress`.",
    model="photo-codec",
    inputs=(InputSlot("picture", (COMPRESSED_MEDIA_TYPE,), 8 * 1024 * 1024),),
    request=DecompressRequest,
    parameters=DecompressParameters,
    report=DecompressReport,
)
