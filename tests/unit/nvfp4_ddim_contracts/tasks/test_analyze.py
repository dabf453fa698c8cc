"""What `analyze` takes and gives."""

import pytest
from pydantic import ValidationError

from nvfp4_ddim_contracts.tasks import TASKS, TaskName
from nvfp4_ddim_contracts.tasks.analyze import (
    SPEC,
    AnalyzeMethod,
    AnalyzeParameters,
    AnalyzeRequest,
    ClassProbabilities,
)


def test_the_specification_is_listed() -> None:
    assert TASKS[TaskName.ANALYZE] is SPEC
    assert [slot.name for slot in SPEC.inputs] == list(
        SPEC.request.model_fields["inputs"].annotation.model_fields
    )


def test_every_parameter_is_described() -> None:
    schema = SPEC.parameters_schema()
    assert set(schema["properties"]) == {"method", "least_probability", "heat_map"}
    assert all(entry.get("description") for entry in schema["properties"].values())


def test_a_request_from_json() -> None:
    request = AnalyzeRequest.model_validate_json(
        '{"task": "analyze", "inputs": {"photo": {"data": "aGk="}}, '
        '"parameters": {"method": "fast"}}'
    )
    assert request.inputs.photo.data == b"hi"
    assert request.parameters.method is AnalyzeMethod.FAST


@pytest.mark.parametrize(
    "content",
    [
        {"task": "segment", "inputs": {"photo": {"data": "aGk="}}},
        {"inputs": {}},
        {"inputs": {"photo": {"data": "aGk="}, "second": {"data": "aGk="}}},
        {"inputs": {"photo": {"data": "aGk="}}, "parameters": {"least_probability": 1.5}},
        {"inputs": {"photo": {"data": "aGk="}}, "parameters": {"crop": "tomato"}},
    ],
)
def test_wrong_requests_are_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        AnalyzeRequest.model_validate(content)


def test_bounds() -> None:
    with pytest.raises(ValidationError):
        AnalyzeParameters(least_probability=0.2)
    with pytest.raises(ValidationError):
        ClassProbabilities(healthy=1.2, early_blight=0, late_blight=0)
