from typing import Any

import pytest

from lambdas.domain.errors import UnfinishedError
from lambdas.domain.quantizations.publishing import ModelStager
from lambdas.domain.quantizations.records import PreparedModel, Readiness
from lambdas.domain.release_signing import ReleaseSigning
from nvfp4_ddim_contracts.incoming import (
    QuantizationProblemCode,
    QuantizationState,
    QuantizationValidation,
    QuantizedSource,
)

PREPARED = PreparedModel(
    name="tiny",
    execution="run-1",
    readiness=Readiness.READY,
    source_digest="ab" * 32,
    job="job",
)


class Signer:
    def public_key(self) -> bytes:
        return b"public"

    def sign(self, message: bytes) -> bytes:
        return b"signature"


@pytest.fixture
def stager(dropped: Any, releases: Any) -> ModelStager:
    return ModelStager(dropped, releases, ReleaseSigning(Signer()), lambda: None)


def test_an_artifact_is_signed_and_its_manifest_comes_last(
    stager: ModelStager, dropped: Any, releases: Any, job_output: Any
) -> None:
    sha256 = job_output("job")
    published = stager.stage(PREPARED)
    assert (published.state, published.artifact_sha256) == (QuantizationState.STAGED, sha256)
    assert published.validation is not None
    assert published.validation.psnr_db == 40.0
    assert releases.order[-1] == f"models/tiny/{sha256}/manifest.json"
    assert releases.order[-2] == f"models/tiny/{sha256}/manifest.json.sig"
    made = QuantizedSource.model_validate_json(
        dropped.items[f"quantizations/tiny/sources/{'ab' * 32}.json"]
    )
    assert made.artifact_sha256 == sha256


def test_what_is_there_is_not_written_again(
    stager: ModelStager, releases: Any, job_output: Any
) -> None:
    sha256 = job_output("job")
    stager.stage(PREPARED)
    before = list(releases.order)
    again = stager.stage(PREPARED)
    assert (again.state, again.artifact_sha256) == (QuantizationState.ALREADY_THERE, sha256)
    assert releases.order == before


@pytest.mark.parametrize("damage", ["altered", "truncated", "missing"])
def test_a_damaged_file_is_never_published_nor_the_manifest(
    stager: ModelStager, dropped: Any, releases: Any, job_output: Any, damage: str
) -> None:
    job_output("job")
    key = max(
        (each for each in dropped.items if "/artifact/" in each and "manifest" not in each),
        key=lambda each: len(dropped.items[each]),
    )
    body = dropped.items[key]
    if damage == "missing":
        del dropped.items[key]
    else:
        dropped.items[key] = body[:-1] if damage == "truncated" else body[:-1] + b"?"
    published = stager.stage(PREPARED)
    assert published.state is QuantizationState.FAILED
    assert published.problem is not None
    assert published.problem.code is QuantizationProblemCode.DAMAGED_ARTIFACT
    path = key.removeprefix("drafts/job/output/artifact/")
    assert path in published.problem.detail
    assert not any(each.endswith(("manifest.json", path)) for each in releases.items)


def test_another_manifest_than_the_validated_one_is_refused(
    stager: ModelStager, dropped: Any, releases: Any, job_output: Any
) -> None:
    job_output("job")
    key = "drafts/job/output/artifact/manifest.json"
    dropped.items[key] += b" "
    published = stager.stage(PREPARED)
    assert published.problem is not None
    assert published.problem.code is QuantizationProblemCode.DAMAGED_ARTIFACT
    assert not releases.items


def test_an_artifact_of_another_name_is_refused(
    stager: ModelStager, releases: Any, job_output: Any
) -> None:
    job_output("job")
    published = stager.stage(PREPARED.model_copy(update={"name": "other"}))
    assert published.state is QuantizationState.FAILED
    assert not releases.items


def test_a_job_that_refused_the_model_is_believed(
    stager: ModelStager, dropped: Any, releases: Any
) -> None:
    refused = QuantizationValidation.model_validate(
        {"problem": {"code": "out-of-bounds", "detail": "too far"}, "psnr_db": 3.0}
    )
    dropped.items["drafts/job/output/validation.json"] = refused.model_dump_json().encode()
    published = stager.stage(PREPARED)
    assert published.state is QuantizationState.FAILED
    assert published.problem == refused.problem
    assert published.validation == refused
    assert not releases.items


def test_a_job_that_left_nothing_is_a_failure(stager: ModelStager) -> None:
    published = stager.stage(PREPARED)
    assert published.problem is not None
    assert published.problem.code is QuantizationProblemCode.JOB_FAILED


def test_cut_off_it_goes_on_with_the_next_file(
    dropped: Any, releases: Any, job_output: Any
) -> None:
    sha256 = job_output("job")
    calls = iter([None, UnfinishedError("time")])

    def check_time() -> None:
        if error := next(calls, None):
            raise error

    stager = ModelStager(dropped, releases, ReleaseSigning(Signer()), check_time)
    with pytest.raises(UnfinishedError):
        stager.stage(PREPARED)
    (first,) = releases.order
    assert f"models/tiny/{sha256}/manifest.json" not in releases.items
    published = stager.stage(PREPARED)
    assert published.state is QuantizationState.STAGED
    assert releases.order.count(first) == 1
