"""Segmentation: an image, a DICOM series or a volume in; mask, probability and uncertainty out."""

from typing import Literal, Self

from pydantic import Field, model_validator

from nvfp4_ddim_contracts._base import Contract

from ._base import InputFile, InputSlot, TaskName, TaskRequest, TaskSpec

__all__ = [
    "MAX_LISTED_INSTANCES",
    "SPEC",
    "InstanceReport",
    "SegmentInputs",
    "SegmentParameters",
    "SegmentReport",
    "SegmentRequest",
    "SliceReport",
]

MAX_LISTED_INSTANCES = 2_000
"""In the report; `instances.csv` has them all."""


class SegmentInputs(Contract):
    """What to segment."""

    image: InputFile = Field(
        description="PNG, JPEG or TIFF; one DICOM file, or a zip of the files of one series; a "
        "NIfTI volume (.nii or .nii.gz)."
    )


class SegmentParameters(Contract):
    """How to segment. Every field has a default."""

    samples: int = Field(
        4,
        ge=1,
        le=32,
        description="Masks drawn for each pixel, each from its own noise and in its own "
        "orientation. More are slower, and better to tell where the model is not sure.",
    )
    threshold: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Probability above which a pixel belongs to the mask; the model's own when "
        "absent.",
    )
    rescale: float = Field(
        1.0,
        ge=0.125,
        le=4,
        description="Enlarge or shrink the image by this factor first; the answer has the size of "
        "the input. The model knows nuclei of about 5 to 40 pixels across.",
    )
    min_area: int = Field(
        4, ge=1, le=100_000, description="Instances of fewer pixels of the input are dropped."
    )
    window_center: float | None = Field(
        None,
        ge=-1e6,
        le=1e6,
        description="DICOM and NIfTI: middle of the range of values to look at, in the file's "
        "units (such as Hounsfield); the file's own window when absent.",
    )
    window_width: float | None = Field(
        None, gt=0, le=2e6, description="Width of that range; goes with window_center."
    )

    @model_validator(mode="after")
    def _whole_window(self) -> Self:
        if (self.window_center is None) != (self.window_width is None):
            raise ValueError("window_center and window_width go together")
        return self


class InstanceReport(Contract):
    """One piece of the mask; pieces that touch are parted where the neck is narrow."""

    slice: int = Field(ge=0, description="From 0.")
    label: int = Field(ge=1, description="Its number within the slice.")
    area_px: int = Field(ge=1)
    area_mm2: float | None = Field(description="Where the file states the size of a pixel.")
    row: float = Field(description="Of the centre, in pixels from the top.")
    column: float = Field(description="Of the centre, in pixels from the left.")
    uncertainty: float = Field(ge=0, le=1, description="Mean over its pixels.")


class SliceReport(Contract):
    """One slice of a volume, or the one picture."""

    index: int = Field(ge=0)
    instance_count: int = Field(ge=0)
    foreground_fraction: float = Field(ge=0, le=1)
    mean_uncertainty: float = Field(ge=0, le=1)


class SegmentReport(Contract):
    """What was found. Not a diagnosis, and not from a medical device."""

    source: Literal["image", "dicom", "dicom-series", "nifti"]
    width: int = Field(ge=1)
    height: int = Field(ge=1)
    slice_count: int = Field(ge=1)
    spacing_mm: tuple[float, float, float] | None = Field(
        description="Between rows, columns and slices, where the file states it."
    )
    threshold: float
    samples: int
    foreground_fraction: float = Field(ge=0, le=1)
    mean_uncertainty: float = Field(
        ge=0, le=1, description="Mean entropy of the probability, in bits."
    )
    instance_count: int = Field(ge=0)
    mean_area_px: float | None = Field(description="None where nothing was found.")
    median_area_px: float | None
    instances: tuple[InstanceReport, ...] = Field(max_length=MAX_LISTED_INSTANCES)
    slices: tuple[SliceReport, ...]


class SegmentRequest(TaskRequest):
    """A request to segment one file."""

    task: Literal[TaskName.SEGMENT]
    inputs: SegmentInputs
    parameters: SegmentParameters = SegmentParameters()


SPEC = TaskSpec(
    name=TaskName.SEGMENT,
    summary="Marks cell nuclei in microscopy images and volumes, and where it is not sure.",
    model="nuclei-128",
    inputs=(
        InputSlot(
            name="image",
            media_types=(
                "image/png",
                "image/jpeg",
                "image/tiff",
                "application/dicom",
                "application/zip",
                "application/gzip",
                "application/octet-stream",
            ),
            max_bytes=64 * 1024 * 1024,
        ),
    ),
    request=SegmentRequest,
    parameters=SegmentParameters,
    report=SegmentReport,
)
