"""Every task on the real server process, whose own model paints: files inside the request."""

import base64
from typing import Any

import pytest

from nvfp4_ddim_contracts.tasks import TASKS, TaskName, TaskResult
from tests.integration.server.conftest import MODEL_NAME, ServerProcess
from tests.support_samples import samples_for

STEPS = 4


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """Files that tasks have made, for those that take no others."""
    return {}


def body_for(name: TaskName, made: dict[str, bytes]) -> dict[str, Any]:
    samples = samples_for(TASKS[name], made)
    if set(samples) < {slot.name for slot in TASKS[name].inputs if slot.required}:
        pytest.skip("no sample fits this task")
    inputs = {
        slot: {"data": base64.b64encode(sample.data).decode()} for slot, sample in samples.items()
    }
    return {"task": name, "inputs": inputs, "num_inference_steps": STEPS, "seed": 7}


@pytest.mark.parametrize("name", list(TASKS))
def test_a_task_answers_without_a_registry(
    server: ServerProcess, made: dict[str, bytes], name: TaskName
) -> None:
    body = body_for(name, made)
    answer = server.client.post("/invocations", json=body, timeout=300)
    assert answer.status_code == 200, answer.text
    result = TaskResult.model_validate_json(answer.content)
    TASKS[name].report.model_validate(result.report)
    assert result.provenance.model == TASKS[name].model
    assert result.provenance.num_inference_steps == STEPS
    assert result.files
    for file in result.files:
        made.setdefault(file.name, file.data)
    again = server.client.post("/invocations", json=body, timeout=300)
    repeated = TaskResult.model_validate_json(again.content)
    assert [file.data for file in repeated.files] == [file.data for file in result.files]


@pytest.mark.skipif(not TASKS, reason="there is no task")
def test_the_servers_own_model_does_no_task(server: ServerProcess, made: dict[str, bytes]) -> None:
    name = next(iter(TASKS))
    answer = server.client.post("/invocations", json=body_for(name, made) | {"model": MODEL_NAME})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "model"
    assert TASKS[name].model in error["message"]


@pytest.mark.skipif(not TASKS, reason="there is no task")
def test_a_models_own_task_is_not_painting(server: ServerProcess) -> None:
    spec = next(iter(TASKS.values()))
    answer = server.client.post(
        "/invocations", json={"prompt": "a pear", "model": spec.model}, timeout=60
    )
    assert answer.status_code == 404
