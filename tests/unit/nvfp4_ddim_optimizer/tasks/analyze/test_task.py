"""`analyze` on bytes."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image

from nvfp4_ddim_contracts.tasks import TASKS, TaskName
from nvfp4_ddim_contracts.tasks.analyze import AnalyzeMethod, AnalyzeParameters, AnalyzeReport
from nvfp4_ddim_optimizer.diffusion import StepEvent
from nvfp4_ddim_optimizer.errors import (
    GenerationCancelled,
    InvalidInputError,
    ModelNotSupportedError,
)
from nvfp4_ddim_optimizer.task_model import TaskModel
from nvfp4_ddim_optimizer.tasks.analyze import AnalyzeTask
from nvfp4_ddim_optimizer.tasks.base import RunOptions
from nvfp4_ddim_optimizer.tasks.registry import make_tasks

Encode = Callable[..., bytes]


def test_the_registry_makes_it(model: TaskModel) -> None:
    assert isinstance(make_tasks(model)[TaskName.ANALYZE], AnalyzeTask)
    assert TASKS[TaskName.ANALYZE].model == "potato-leaf-128"


def test_report_and_pictures(model: TaskModel, leaf: Image.Image, encoded: Encode) -> None:
    events: list[StepEvent] = []
    options = RunOptions(4, seed=0, on_step=events.append)
    output = AnalyzeTask(model).run({"photo": encoded(leaf)}, AnalyzeParameters(), options)
    assert AnalyzeReport.model_validate_json(output.report.model_dump_json()) == output.report
    assert [(f.name, f.media_type) for f in output.files] == [
        ("heat_map.png", "image/png"),
        ("overlay.png", "image/png"),
    ]
    assert all(Image.open(io.BytesIO(f.data)).size == (64, 64) for f in output.files)
    assert [e.step for e in events] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "parameters",
    [AnalyzeParameters(method=AnalyzeMethod.FAST), AnalyzeParameters(heat_map=False)],
)
def test_pictures_can_be_left_out(
    model: TaskModel, leaf: Image.Image, encoded: Encode, parameters: AnalyzeParameters
) -> None:
    output = AnalyzeTask(model).run({"photo": encoded(leaf)}, parameters, RunOptions(2, seed=0))
    assert output.files == ()


def test_it_can_be_stopped(model: TaskModel, leaf: Image.Image, encoded: Encode) -> None:
    options = RunOptions(2, seed=0, should_cancel=lambda: True)
    with pytest.raises(GenerationCancelled):
        AnalyzeTask(model).run({"photo": encoded(leaf)}, AnalyzeParameters(), options)


def test_a_foreign_file_is_refused(model: TaskModel) -> None:
    with pytest.raises(InvalidInputError, match="JPEG"):
        AnalyzeTask(model).run({"photo": b"%PDF-1.7"}, AnalyzeParameters(), RunOptions(2, seed=0))


def test_another_tasks_model_is_refused(model: TaskModel) -> None:
    with pytest.raises(ModelNotSupportedError, match="segment"):
        AnalyzeTask(replace(model, tasks=(TaskName.SEGMENT,)))
