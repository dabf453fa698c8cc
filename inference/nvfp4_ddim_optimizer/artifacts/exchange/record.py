"""`nvfp4_export.json`: what an exported directory was made from, so that it can be taken back."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from nvfp4_ddim_contracts import Manifest
from nvfp4_ddim_optimizer.errors import ArtifactCorruptError, ArtifactFormatError

from .registry import ExchangeFormat

__all__ = ["RECORD_NAME", "ConvStorage", "ExportRecord", "read_record"]

RECORD_NAME = "nvfp4_export.json"


class ConvStorage(StrEnum):
    """What an export does with layers that the other tool can't load as NVFP4."""

    PACKED = "packed"
    """Every layer stays packed, convolutions as matrices: the way back is exact."""

    BF16 = "bf16"
    """They are dequantised to bfloat16: the tool loads the file."""


class ExportRecord(BaseModel):
    """What an exported directory says about its origin.

    Attributes:
        format: Tells the file from others.
        exported_to: The tool whose layout it is.
        convs: What was done with convolutions.
        source: The artifact's manifest.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["nvfp4-ddim-export"] = "nvfp4-ddim-export"
    exported_to: ExchangeFormat
    convs: ConvStorage
    source: Manifest


def read_record(directory: Path) -> ExportRecord | None:
    """A directory's record; None where another program made the directory.

    Raises:
        ArtifactCorruptError: The record is truncated or altered.
        ArtifactFormatError: It is not a record of this library.
    """
    path = directory / RECORD_NAME
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ArtifactCorruptError(f"{path} is truncated or altered: {error}") from error
    try:
        return ExportRecord.model_validate(content)
    except ValidationError as error:
        raise ArtifactFormatError(f"{path} is not a valid record: {error}") from error
