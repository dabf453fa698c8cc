"""Interpolation in time between two states of a field, or between two pictures."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from nvfp4_ddim_contracts._base import Contract

from ._base import InputFile, InputSlot, TaskName, TaskRequest, TaskSpec

__all__ = [
    "MAX_FIELD_BYTES",
    "MAX_FRAMES",
    "MAX_MEMBERS",
    "SPEC",
    "FieldUnits",
    "FrameFormat",
    "InterpolateInputs",
    "InterpolateParameters",
    "InterpolateReport",
    "InterpolateRequest",
]

MAX_FRAMES = 48
MAX_MEMBERS = 32
MAX_FIELD_BYTES = 64 * 1024 * 1024

_MEDIA_TYPES = ("application/netcdf", "application/x-npy", "image/png", "image/jpeg", "image/webp")

VariableName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.@+-]{0,127}$")]
Latitudes = tuple[Annotated[float, Field(ge=-90, le=90)], Annotated[float, Field(ge=-90, le=90)]]
Longitudes = tuple[
    Annotated[float, Field(ge=-360, le=720)], Annotated[float, Field(ge=-360, le=720)]
]


class FieldUnits(StrEnum):
    """Units of a temperature."""

    AUTO = "auto"
    KELVIN = "K"
    CELSIUS = "degC"


class FrameFormat(StrEnum):
    """How the frames come back."""

    AUTO = "auto"
    NETCDF = "netcdf"
    NPY = "npy"


class InterpolateInputs(Contract):
    """The two states."""

    start: InputFile = Field(description="State at the start: NetCDF, .npy or a picture.")
    end: InputFile = Field(description="State at the end, on the same grid.")


class InterpolateParameters(Contract):
    """What to make between them. Fields that only states or only pictures need say so."""

    num_steps: int = Field(
        5, ge=1, le=MAX_FRAMES, description="Frames in between, evenly spaced; the ends come too."
    )
    members: int = Field(
        4, ge=1, le=MAX_MEMBERS, description="Fields: size of the ensemble drawn for every frame."
    )
    variable: VariableName | None = Field(
        None, description="NetCDF: the variable, where the file has several fields."
    )
    units: FieldUnits = Field(
        FieldUnits.AUTO, description="Fields: units where the file does not say them."
    )
    start_time: datetime | None = Field(
        None, description="Fields: time of the start, UTC, where the file has none."
    )
    end_time: datetime | None = Field(
        None, description="Fields: time of the end, UTC, where the file has none."
    )
    latitudes: Latitudes | None = Field(
        None, description=".npy: degrees north of the first and last row, evenly spaced."
    )
    longitudes: Longitudes | None = Field(
        None, description=".npy: degrees east of the first and last column, evenly spaced."
    )
    conserve_mean: bool = Field(
        False,
        description="Fields: let the area mean move linearly, as of a conserved quantity.",
    )
    frame_format: FrameFormat = Field(
        FrameFormat.AUTO, description="Fields: format of the frames; auto is that of the start."
    )
    prompt: str = Field("", max_length=1000, description="Pictures: what both show; may be empty.")

    @model_validator(mode="after")
    def _start_before_end(self) -> Self:
        if self.start_time is not None and self.end_time is not None:
            start, end = (_naive(moment) for moment in (self.start_time, self.end_time))
            if start >= end:
                raise ValueError("start_time must be before end_time")
        return self


def _naive(moment: datetime) -> datetime:
    offset = moment.utcoffset()
    return moment if offset is None else (moment - offset).replace(tzinfo=None)


class InterpolateReport(Contract):
    """What was made, as JSON."""

    kind: Literal["field", "picture"]
    fractions: list[float] = Field(description="Where the frames lie; 0 and 1 are the ends.")
    times: list[str] = Field([], description="Fields: time of each frame, ISO 8601, UTC.")
    variable: str | None = None
    units: str | None = None
    members: int
    area_means: list[float] = Field([], description="Fields: area mean of each mean frame.")
    mean_spread: list[float] = Field(
        [], description="Fields: root mean square of the ensemble's standard deviation."
    )
    missing_cells: int = Field(0, description="Fields: cells missing at either end, kept missing.")
    anomaly_rms: float | None = Field(
        None, description="Fields: departure of the ends from the model's climate, in kelvins."
    )
    is_familiar: bool = Field(
        True,
        description="Fields: whether season, spacing and departure are like the training data's.",
    )
    notes: list[str] = Field([], description="What a reader should know of this answer.")


class InterpolateRequest(TaskRequest):
    """A request for frames between two states."""

    task: Literal[TaskName.INTERPOLATE] = TaskName.INTERPOLATE
    inputs: InterpolateInputs
    parameters: InterpolateParameters = InterpolateParameters()


SPEC = TaskSpec(
    name=TaskName.INTERPOLATE,
    summary="Fill in the time between two fields of surface temperature, with an ensemble.",
    model="climate-6h",
    inputs=(
        InputSlot("start", _MEDIA_TYPES, MAX_FIELD_BYTES),
        InputSlot("end", _MEDIA_TYPES, MAX_FIELD_BYTES),
    ),
    request=InterpolateRequest,
    parameters=InterpolateParameters,
    report=InterpolateReport,
)
