import base64

import pytest
from pydantic import ValidationError

from nvfp4_ddim_contracts.tasks import TASKS, TaskName
from nvfp4_ddim_contracts.tasks.compress import (
    CompressParameters,
    CompressRequest,
    DecompressRequest,
    Quality,
)

FILE = {"data": base64.b64encode(b"picture").decode()}


def test_requests_have_defaults() -> None:
    request = CompressRequest.model_validate({"inputs": {"image": FILE}})
    assert request.parameters == CompressParameters()
    assert request.parameters.quality is Quality.FIDELITY
    assert request.inputs.image.data == b"picture"
    back = DecompressRequest.model_validate({"inputs": {"picture": FILE}})
    assert back.parameters.quality == "as_encoded"


@pytest.mark.parametrize(
    "parameters",
    [
        {"target_bitrate": 0},
        {"target_bitrate": 9},
        {"target_bitrate": float("nan")},
        {"quality": "best"},
        {"content": "video"},
        {"bitrate": 0.1},
    ],
)
def test_parameters_out_of_bounds_are_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CompressParameters.model_validate(parameters)


def test_both_directions_describe_themselves() -> None:
    for name in (TaskName.COMPRESS, TaskName.DECOMPRESS):
        spec = TASKS[name]
        assert spec.request.model_fields["task"].default == name
        fields = spec.request.model_fields["inputs"].annotation
        assert fields is not None
        assert [slot.name for slot in spec.inputs] == list(fields.model_fields)
        described = spec.parameters_schema()["properties"].values()
        assert all("description" in field or "$ref" in field for field in described)
