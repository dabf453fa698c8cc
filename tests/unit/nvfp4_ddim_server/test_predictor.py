from typing import Any

import pytest
import torch

from nvfp4_ddim_contracts import Preset
from nvfp4_ddim_optimizer.errors import InvalidInputError
from nvfp4_ddim_server.errors import (
    DeviceLostError,
    GenerationFailedError,
    InvalidFieldsError,
    NotReadyError,
    StartError,
)
from nvfp4_ddim_server.planning import BatchKey
from nvfp4_ddim_server.predictor import Predictor

KEY = BatchKey(Preset.FAST, 3, 2.0, 0.0, 16, 16, "ugly")


def predict(predictor: Predictor, cancel: bool = False) -> Any:
    steps: list[int] = []
    images = predictor.predict(
        ["a", "b"], [1, 2], KEY, on_step=steps.append, should_cancel=lambda: cancel
    )
    return images, steps


def test_loads_once_and_paints_before_it_is_ready(pipeline: Any) -> None:
    loads = []

    def load() -> Any:
        loads.append(1)
        return pipeline

    predictor = Predictor(load)
    with pytest.raises(NotReadyError):
        _ = predictor.pipelines
    predictor.setup()
    assert len(loads) == 1
    assert len(pipeline.calls) == 1
    assert set(predictor.pipelines) == set(Preset)


def test_hands_everything_to_the_pipeline(pipeline: Any) -> None:
    predictor = Predictor(lambda: pipeline)
    predictor.setup()
    images, steps = predict(predictor)
    assert [image.size for image in images] == [(16, 16)] * 2
    assert steps == [1, 2, 3]
    assert pipeline.requests == [
        {
            "prompt": ["a", "b"],
            "seed": [1, 2],
            "steps": 3,
            "negative_prompt": "ugly",
            "guidance_scale": 2.0,
            "eta": 0.0,
            "cache_interval": 1,
            "guidance_interval": (0.0, 1.0),
            "token_merging_ratio": 0.0,
        }
    ]


def test_cancelled_is_no_error(pipeline: Any) -> None:
    predictor = Predictor(lambda: pipeline)
    predictor.setup()
    assert predict(predictor, cancel=True) == (None, [])


def test_refuses_the_wrong_artifact(pipeline: Any) -> None:
    with pytest.raises(StartError, match="MODEL_NAME is 'other'"):
        Predictor(lambda: pipeline, expected_name="other").setup()


@pytest.mark.parametrize(
    ("raised", "expected", "text"),
    [
        (InvalidInputError("width must divide"), InvalidFieldsError, "width must divide"),
        (torch.AcceleratorError("illegal access"), DeviceLostError, "accelerator failed"),
        (torch.OutOfMemoryError("no"), GenerationFailedError, "not enough memory for 2 x 16x16"),
        (MemoryError(), GenerationFailedError, "not enough memory"),
        (KeyError("secret"), GenerationFailedError, "log says why"),
    ],
)
def test_translates_errors(
    pipeline: Any, raised: Exception, expected: type[Exception], text: str
) -> None:
    predictor = Predictor(lambda: pipeline)
    predictor.setup()
    pipeline.error = raised
    with pytest.raises(expected, match=text):
        predict(predictor)
