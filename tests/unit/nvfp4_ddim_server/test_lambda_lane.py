"""The server as a function: in process, with a fake pipeline and a fake of S3 and SNS."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nvfp4_ddim_contracts import GenerationResult, InferenceTask, Problem
from nvfp4_ddim_optimizer.errors import ArtifactCorruptError
from nvfp4_ddim_server import ServerSettings, create_app
from nvfp4_ddim_server.errors import StartError
from nvfp4_ddim_server.lambda_lane import LambdaLane
from nvfp4_ddim_server.loading import registry_pipeline_loader
from tests.unit.nvfp4_ddim_server.registry import FakeRegistry

JOB = "0123456789abcdef" * 2
TASK = InferenceTask(input_uri=f"s3://results/async/input/{JOB}/3.json")
REQUEST = {"prompt": "a pear", "num_inference_steps": 2, "seed": 7}


class FakeBoard:
    def __init__(self) -> None:
        self.request: Any = REQUEST
        self.answers: list[tuple[str, int, bytes]] = []
        self.stopped = False
        self.held: list[InferenceTask] = []

    def is_stopped(self) -> bool:
        return self.stopped

    def hold(self, task: InferenceTask) -> None:
        self.held.append(task)

    def read(self, task: InferenceTask) -> bytes:
        assert task == TASK
        return json.dumps(self.request).encode()

    def answer(self, task: InferenceTask, status: int, body: bytes) -> None:
        self.answers.append((task.answer_key(failed=status >= 400), status, body))


@pytest.fixture
def board() -> FakeBoard:
    return FakeBoard()


@pytest.fixture
def make_lane(pipeline: Any, sink: Any, board: FakeBoard) -> Iterator[Callable[..., LambdaLane]]:
    with ExitStack() as stack:

        def make(load: Any = None) -> LambdaLane:
            app = create_app(ServerSettings(), load_pipeline=load or (lambda: pipeline), sink=sink)
            lane = LambdaLane(app, board)
            stack.callback(lane.close)
            return lane

        yield make


def test_a_task_names_its_job_and_where_the_answer_goes() -> None:
    assert (TASK.job_id, TASK.attempt, TASK.bucket) == (JOB, 3, "results")
    assert TASK.input_key == f"async/input/{JOB}/3.json"
    assert TASK.answer_key(failed=False) == f"async/output/{JOB}-3.json"
    assert TASK.answer_key(failed=True) == f"async/failure/{JOB}-3.json"


def test_answers_as_the_container_does_and_loads_once(
    make_lane: Any, board: FakeBoard, pipeline: Any, sink: Any
) -> None:
    lane = make_lane()
    assert lane.carry_out(TASK) == lane.carry_out(TASK) == 200
    (key, _, body), _ = board.answers
    result = GenerationResult.model_validate_json(body)
    assert key == f"async/output/{JOB}-3.json"
    assert result.images[0].seed == 7
    assert len(pipeline.calls) == 1 + 2  # the warm-up and two pictures
    lane.close()  # waits for the reporters' threads
    assert sink.reports[-1] == (JOB, 2, 2)


def test_a_stopped_service_loads_no_model_and_the_job_waits(
    make_lane: Any, board: FakeBoard, pipeline: Any
) -> None:
    lane = make_lane()
    board.stopped = True
    assert lane.carry_out(TASK) is None
    assert (board.held, board.answers, pipeline.calls) == ([TASK], [], [])
    board.stopped = False
    assert lane.carry_out(TASK) == 200


def test_a_request_that_is_wrong_is_answered_with_a_problem(
    make_lane: Any, board: FakeBoard
) -> None:
    board.request = {"prompt": ""}
    assert make_lane().carry_out(TASK) == 422
    ((key, _, body),) = board.answers
    assert key.startswith("async/failure/")
    assert Problem.model_validate_json(body).errors[0].field == "prompt"


def test_a_job_that_was_cancelled_stops(make_lane: Any, board: FakeBoard, sink: Any) -> None:
    sink.wanted = False
    board.request = REQUEST | {"num_inference_steps": 1000}
    assert make_lane().carry_out(TASK) == 409


def test_a_model_that_does_not_load_is_an_error_of_the_function(
    make_lane: Any, board: FakeBoard
) -> None:
    def load() -> Any:
        raise ArtifactCorruptError("cut off")

    lane = make_lane(load)
    with pytest.raises(StartError, match="cut off"):
        lane.carry_out(TASK)
    assert not board.answers


def test_the_own_model_can_come_from_the_registry(tmp_path: Path) -> None:
    registry = FakeRegistry()
    settings = ServerSettings(
        model_source="registry", model_name="sketch", model_cache_dir=tmp_path / "models"
    )
    with pytest.raises(StartError, match="no model called 'sketch'"):
        registry_pipeline_loader(settings, registry)()
    with pytest.raises(StartError, match="needs MODEL_NAME and ARTIFACT_BUCKET"):
        registry_pipeline_loader(settings, None)
