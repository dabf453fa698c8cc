import json
from types import SimpleNamespace
from typing import Any

import pytest

from lambdas.domain.errors import ServiceStoppedError
from lambdas.domain.quantizations.preparing import MAX_FILES, ModelPreparer
from lambdas.domain.quantizations.records import Readiness
from nvfp4_ddim_contracts.incoming import (
    QuantizationProblemCode,
    QuantizationTask,
    QuantizedSource,
    quantized_source_key,
)

Code = QuantizationProblemCode
ORDER = "incoming/tiny/quantize.json"


@pytest.fixture
def preparer(world: SimpleNamespace, dropped: Any, releases: Any) -> ModelPreparer:
    return ModelPreparer(world.gate, dropped, releases, max_bytes=1_000, quantizer="image:1")


def test_a_good_model_is_ready_and_its_task_is_written(
    preparer: ModelPreparer, dropped: Any
) -> None:
    prepared = preparer.prepare(ORDER, "run-1")
    assert (prepared.readiness, prepared.name, prepared.problem) == (Readiness.READY, "tiny", None)
    assert prepared.model_uri == "s3://incoming/incoming/tiny/"
    assert prepared.job is not None
    task = QuantizationTask.model_validate_json(
        dropped.items[f"drafts/{prepared.job}/task/task.json"]
    )
    assert [file.path for file in task.files] == [
        "model_index.json",
        "unet/config.json",
        "unet/diffusion_pytorch_model.safetensors",
    ]
    assert task.order.license == "CC0-1.0"
    assert task.created_at.isoformat() == "2026-01-02T03:04:05+00:00"
    assert prepared.task_uri == f"s3://incoming/drafts/{prepared.job}/task/"


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("unet/diffusion_pytorch_model.bin", Code.PICKLE, "safetensors only"),
        ("text_encoder/weights.PT", Code.PICKLE, "weights.PT"),
        ("pipeline.py", Code.UNKNOWN_FILE, "pipeline.py"),
        (".cache/huggingface/x.json", Code.BAD_NAME, "--exclude"),
        ("unet/a b.json", Code.BAD_NAME, "a b.json"),
        ("unet/../x.json", Code.BAD_NAME, "names"),
        ("manifest.json", Code.MODEL_MISSING, "quantised already"),
    ],
)
def test_files_that_no_model_may_have_are_refused(
    preparer: ModelPreparer, dropped: Any, path: str, code: Code, words: str
) -> None:
    dropped.items[f"incoming/tiny/{path}"] = b"x"
    before = set(dropped.items)
    prepared = preparer.prepare(ORDER, "run-1")
    assert prepared.readiness is Readiness.REFUSED
    assert prepared.problem is not None
    assert prepared.problem.code is code
    assert words in prepared.problem.detail
    assert set(dropped.items) == before


def test_a_model_without_its_index_is_refused(preparer: ModelPreparer, dropped: Any) -> None:
    del dropped.items["incoming/tiny/model_index.json"]
    prepared = preparer.prepare(ORDER, "run-1")
    assert prepared.problem is not None
    assert prepared.problem.code is Code.MODEL_MISSING


def test_too_many_files_and_too_large_ones_are_refused(
    preparer: ModelPreparer, dropped: Any
) -> None:
    dropped.items["incoming/tiny/vae/w.safetensors"] = bytes(1_000)
    large = preparer.prepare(ORDER, "run-1")
    assert large.problem is not None
    assert large.problem.code is Code.TOO_LARGE
    for number in range(MAX_FILES):
        dropped.items[f"incoming/tiny/{number}.txt"] = b""
    many = preparer.prepare(ORDER, "run-1")
    assert many.problem is not None
    assert many.problem.code is Code.TOO_MANY_FILES


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (b"{", "quantize.json"),
        (b"{}", "license"),
        (b'{"license": "NOASSERTION"}', "licence"),
        (b'{"license": "MIT", "effort": "best"}', "effort"),
        (b'{"license": "MIT", "colour": 1}', "colour"),
        (b'{"license": "MIT", "effort": "fast", "target_bits": 4}', "target_bits"),
        (b'{"license": "MIT", "guidance_scale": 31}', "guidance_scale"),
        (b'{"license": "MIT", "prompts": [" "]}', "prompts"),
        (b" " * 300_000, "bytes"),
    ],
)
def test_an_order_that_cannot_be_used_is_refused(
    preparer: ModelPreparer, dropped: Any, order: bytes, words: str
) -> None:
    dropped.items[ORDER] = order
    prepared = preparer.prepare(ORDER, "run-1")
    assert prepared.name == "tiny"
    assert prepared.problem is not None
    assert prepared.problem.code is Code.INVALID_ORDER
    assert words in prepared.problem.detail


@pytest.mark.parametrize(
    "key",
    ["incoming/My_Model/quantize.json", "incoming/a/b/quantize.json", "elsewhere/quantize.json"],
)
def test_a_name_that_no_model_may_have_is_refused(preparer: ModelPreparer, key: str) -> None:
    prepared = preparer.prepare(key, "run-1")
    assert prepared.name is None
    assert prepared.problem is not None
    assert prepared.problem.code is Code.BAD_NAME


def test_an_order_that_vanished_is_refused(preparer: ModelPreparer, dropped: Any) -> None:
    del dropped.items[ORDER]
    prepared = preparer.prepare(ORDER, "run-1")
    assert prepared.problem is not None
    assert prepared.problem.code is Code.INVALID_ORDER


def test_what_was_made_before_needs_no_work_while_it_is_whole(
    preparer: ModelPreparer, dropped: Any, releases: Any, job_output: Any
) -> None:
    first = preparer.prepare(ORDER, "run-1")
    assert first.source_digest is not None
    sha256 = job_output("job")
    made = QuantizedSource(artifact_sha256=sha256, execution="run-1")
    key = quantized_source_key("tiny", first.source_digest)
    dropped.items[key] = made.model_dump_json().encode()
    assert preparer.prepare(ORDER, "run-2").readiness is Readiness.READY

    for source, body in dropped.items.items():
        if source.startswith("drafts/job/output/artifact/"):
            path = source.removeprefix("drafts/job/output/artifact/")
            releases.items[f"models/tiny/{sha256}/{path}"] = body
    releases.items[f"models/tiny/{sha256}/manifest.json.sig"] = b"signature"
    again = preparer.prepare(ORDER, "run-3")
    assert (again.readiness, again.artifact_sha256) == (Readiness.ALREADY_THERE, sha256)

    dropped.items[ORDER] = json.dumps({"license": "MIT"}).encode()
    assert preparer.prepare(ORDER, "run-4").readiness is Readiness.READY
    dropped.items[ORDER] = json.dumps({"license": "CC0-1.0"}).encode()
    dropped.items["incoming/tiny/unet/config.json"] = b"[]"
    assert preparer.prepare(ORDER, "run-5").readiness is Readiness.READY


def test_nothing_is_begun_while_the_service_is_stopped(
    preparer: ModelPreparer, world: SimpleNamespace, dropped: Any
) -> None:
    world.switch.stop("We move house.")
    before = dict(dropped.items)
    with pytest.raises(ServiceStoppedError, match="We move house"):
        preparer.prepare(ORDER, "run-1")
    assert dropped.items == before
    world.switch.resume()
    world.clock.seconds = 10
    assert preparer.prepare(ORDER, "run-1").readiness is Readiness.READY
