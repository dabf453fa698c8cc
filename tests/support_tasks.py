"""A task for tests: small, quick, and without a model."""

from typing import Literal

import pytest
from pydantic import Field

from nvfp4_ddim_contracts._base import Contract
from nvfp4_ddim_contracts.tasks import (
    TASKS,
    InputFile,
    InputSlot,
    TaskName,
    TaskRequest,
    TaskSpec,
)

__all__ = ["MAX_TOY_BYTES", "TOY", "TOY_MODEL", "ToyReport", "ToyRequest", "install_toy"]

MAX_TOY_BYTES = 1_000
TOY_MODEL = "toy-model"


class ToyInputs(Contract):
    image: InputFile
    mask: InputFile | None = None


class ToyParameters(Contract):
    strength: float = Field(0.5, ge=0, le=1, description="How much.")
    samples: int = Field(1, ge=1, le=4, description="How often.")


class ToyReport(Contract):
    area: int


class ToyRequest(TaskRequest):
    task: Literal[TaskName.SEGMENT]
    inputs: ToyInputs
    parameters: ToyParameters = ToyParameters()


TOY = TaskSpec(
    name=TaskName.SEGMENT,
    summary="Counts the bytes of a picture.",
    model=TOY_MODEL,
    inputs=(
        InputSlot("image", ("image/png", "image/jpeg"), MAX_TOY_BYTES),
        InputSlot("mask", ("image/png",), MAX_TOY_BYTES, required=False),
    ),
    request=ToyRequest,
    parameters=ToyParameters,
    report=ToyReport,
)


def install_toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `segment` be the toy for one test."""
    monkeypatch.setitem(TASKS, TaskName.SEGMENT, TOY)
