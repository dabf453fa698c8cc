"""Requests of any task: read by the right model, and refused in its words."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nvfp4_ddim_contracts import GenerationRequest, Job, JobRequest
from nvfp4_ddim_contracts.generation import MAX_SEED, MAX_STEPS, Preset
from nvfp4_ddim_contracts.invocations import InvocationRequest
from nvfp4_ddim_contracts.lanes import LaneWish
from nvfp4_ddim_contracts.media_types import endings_of, media_type_of
from nvfp4_ddim_contracts.requests import GENERATE, input_files, task_of, with_inputs
from nvfp4_ddim_contracts.task_list import list_tasks
from nvfp4_ddim_contracts.tasks import TASKS, InputFile
from nvfp4_ddim_contracts.uploads import UPLOAD_CONTENT_TYPES, UploadRequest, max_upload_bytes
from tests.support_tasks import MAX_TOY_BYTES, ToyRequest, install_toy

UPLOAD_ID = "cd" * 16
LETTERS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "preset": st.sampled_from([str(each) for each in Preset]),
        "num_inference_steps": st.integers(1, MAX_STEPS),
        "seed": st.integers(0, MAX_SEED),
        "model": st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
        "lane": st.sampled_from([str(each) for each in LaneWish]),
        "webhook_url": st.just("https://example.org/hook"),
    },
)
PAINTING = st.fixed_dictionaries(
    {"prompt": LETTERS.map(lambda text: f"a{text}")}, optional={"task": st.just("generate")}
)
FILES = st.one_of(
    st.binary(min_size=1, max_size=MAX_TOY_BYTES).map(
        lambda data: {"data": base64.b64encode(data).decode()}
    ),
    st.just({"upload": UPLOAD_ID}),
)
SEGMENTING = st.fixed_dictionaries(
    {
        "task": st.just("segment"),
        "inputs": st.fixed_dictionaries({"image": FILES}, optional={"mask": FILES}),
    },
    optional={"parameters": st.fixed_dictionaries({"samples": st.integers(1, 4)})},
)
BODIES = st.builds(lambda body, options: body | options, PAINTING | SEGMENTING, OPTIONS)


@pytest.fixture(autouse=True, scope="module")
def _toy() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        install_toy(patch)
        yield


@given(BODIES)
def test_every_valid_body_is_read_and_written_without_loss(body: dict[str, Any]) -> None:
    request = JobRequest.model_validate_json(json.dumps(body))
    assert task_of(request.request) == body.get("task", GENERATE)
    assert type(request.request) is (GenerationRequest if "prompt" in body else ToyRequest)
    assert JobRequest.model_validate_json(request.model_dump_json()) == request
    written = request.model_dump(mode="json", exclude_unset=True)
    assert written | {"prompt": body.get("prompt")} == body | {"prompt": body.get("prompt")}
    assert request.lane == body.get("lane", "auto")
    assert request.webhook_url == body.get("webhook_url")


@given(BODIES)
def test_the_container_reads_what_the_dispatcher_writes(body: dict[str, Any]) -> None:
    request = JobRequest.model_validate(body).request
    keys = {} if isinstance(request, GenerationRequest) else {UPLOAD_ID: f"uploads/a/{UPLOAD_ID}"}
    message = InvocationRequest.model_validate_json(InvocationRequest.of(request, keys))
    assert message.request == request
    assert message.upload_keys == keys


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | LETTERS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["task", "prompt", "inputs", "image", "x"]), inner)
        ),
        max_leaves=8,
    )
)
def test_anything_else_is_refused_with_fields_and_never_crashes(body: Any) -> None:
    try:
        request = JobRequest.model_validate_json(json.dumps(body))
    except ValidationError as error:
        for fault in error.errors():
            assert "segment" not in fault["loc"]
    else:
        assert "prompt" in body or "inputs" in body
        assert task_of(request.request) in {GENERATE, "segment"}


def fields_of(body: dict[str, Any]) -> set[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as caught:
        JobRequest.model_validate_json(json.dumps(body))
    return {fault["loc"] for fault in caught.value.errors()}


def test_errors_name_the_requests_own_fields() -> None:
    assert fields_of({"prompt": 3, "colour": 1}) == {("prompt",), ("colour",)}
    assert fields_of({"task": "juggle"}) == {("task",)}
    assert fields_of({"task": ["segment"]}) == {("task",)}
    assert fields_of({"task": "segment", "inputs": {}}) == {("inputs", "image")}
    both = {"data": "AAAA", "upload": UPLOAD_ID}
    assert fields_of({"task": "segment", "inputs": {"image": both}}) == {("inputs", "image")}
    body = {"task": "segment", "inputs": {"image": {"upload": UPLOAD_ID}}, "prompt": "x"}
    assert fields_of(body) == {("prompt",)}


def test_a_body_without_a_task_is_as_it_was() -> None:
    text = '{"prompt":"red heart","preset":"fast"}'
    old = GenerationRequest.model_validate_json(text)
    assert JobRequest.model_validate_json(text).request == old
    assert InvocationRequest.of(old, {}) == old.model_dump_json().encode()


def test_files_are_found_and_replaced_by_their_inputs() -> None:
    request = ToyRequest.model_validate(
        {"task": "segment", "inputs": {"image": {"data": "AAAA"}}, "seed": 3}
    )
    assert input_files(request) == {"image": InputFile(data=b"AAAA")}
    changed = with_inputs(request, {"image": InputFile(upload=UPLOAD_ID)})
    assert input_files(changed) == {"image": InputFile(upload=UPLOAD_ID)}
    assert changed.seed == 3


def test_tasks_describe_themselves() -> None:
    tasks = list_tasks().data
    assert [task.name for task in tasks] == list(TASKS)
    toy = next(task for task in tasks if task.name == "segment")
    assert toy.inputs[0].endings == {"image/png": (".png",), "image/jpeg": (".jpg", ".jpeg")}
    properties: Any = toy.parameters["properties"]
    assert properties["samples"]["maximum"] == 4
    assert properties["samples"]["description"]
    assert json.loads(list_tasks().model_dump_json())["object"] == "list"


def test_every_schema_names_every_task_of_the_list() -> None:
    for model in (JobRequest, InvocationRequest, Job):
        text = json.dumps(model.model_json_schema())
        assert '"prompt"' in text
        for spec in TASKS.values():
            if spec.request is not ToyRequest:
                assert spec.request.__name__.removesuffix("Request") in text


def test_uploads_take_what_the_tasks_take() -> None:
    for spec in TASKS.values():
        for slot in spec.inputs:
            if spec.request is ToyRequest:
                continue
            for media_type in slot.media_types:
                assert media_type in UPLOAD_CONTENT_TYPES
                assert max_upload_bytes(media_type) >= slot.max_bytes
    with pytest.raises(ValidationError, match="image/png"):
        UploadRequest(content_type="text/html", size_bytes=1)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.PNG", "image/png"),
        ("scan.nii.gz", "application/x-nifti"),
        ("scan.gz", "application/gzip"),
        ("readme", None),
        ("a.exe", None),
    ],
)
def test_a_name_says_what_a_file_is(name: str, expected: str | None) -> None:
    among = ("application/gzip", "image/png", "application/x-nifti")
    assert media_type_of(name, among) == expected


def test_a_type_that_nobody_knows_has_an_ending_of_its_own() -> None:
    assert endings_of("application/x-fifth-task") == (".fifth-task",)
