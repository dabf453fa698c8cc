from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.adapters.dynamodb_items import (
    idempotency_from_item,
    idempotency_to_item,
    job_from_item,
    job_from_stream,
    job_to_item,
    to_text,
)
from lambdas.domain.records import IdempotencyRecord, JobRecord, StoredImage
from nvfp4_ddim_contracts import GenerationRequest, ImageFormat, JobState, Preset
from nvfp4_ddim_contracts.generation import Timings

moments = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)
)
requests = st.builds(
    GenerationRequest,
    prompt=st.text(min_size=1, max_size=40).filter(lambda text: text.strip() != ""),
    preset=st.sampled_from(Preset),
    guidance_scale=st.none() | st.floats(0, 30),
    eta=st.floats(0, 1),
    seed=st.none() | st.integers(0, 2**32 - 1),
)
images = st.builds(
    StoredImage,
    key=st.text(min_size=1, max_size=20),
    seed=st.integers(0, 2**32 - 1),
    width=st.integers(8, 1024),
    height=st.integers(8, 1024),
    image_format=st.sampled_from(ImageFormat),
)
timings = st.builds(
    Timings,
    queue_seconds=st.floats(0, 1e6),
    generate_seconds=st.floats(0, 1e6),
    encode_seconds=st.floats(0, 1e6),
)
jobs = st.builds(
    JobRecord,
    id=st.from_regex(r"[0-9a-f]{32}", fullmatch=True),
    owner=st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    state=st.sampled_from(JobState),
    request=requests,
    step=st.integers(0, 1000),
    total_steps=st.integers(1, 1000),
    attempt=st.integers(1, 10),
    dispatched_attempt=st.integers(0, 10),
    created_at=moments,
    updated_at=moments,
    deadline_at=moments,
    expires_at=st.integers(0, 2**33),
    images=st.lists(images, max_size=3).map(tuple),
    provenance=st.none(),
    timings=st.none() | timings,
    error=st.none(),
)


@settings(deadline=None)
@given(jobs)
def test_jobs_come_back_as_they_were(job: JobRecord) -> None:
    item = job_to_item(job)
    assert item["pk"] == {"S": f"job#{job.id}"}
    assert item["expires_at"] == {"N": str(job.expires_at)}
    assert job_from_item(item) == job
    assert job_from_stream({"dynamodb": {"NewImage": item}}) == job


@settings(deadline=None)
@given(jobs)
def test_a_newer_versions_attribute_is_ignored(job: JobRecord) -> None:
    item: dict[str, Any] = {**job_to_item(job), "added_later": {"BOOL": True}}
    assert job_from_item(item) == job


@settings(deadline=None)
@given(st.from_regex(r"[\x21-\x7e]{1,255}", fullmatch=True))
def test_keys_come_back_and_stay_out_of_the_owners_index(key: str) -> None:
    record = IdempotencyRecord(
        owner="a" * 16, key=key, request_sha256="0" * 64, job_id="1" * 32, expires_at=5
    )
    item = idempotency_to_item(record)
    assert not {"owner", "state", "created_at", "updated_at"} & set(item)
    assert idempotency_from_item(record.owner, key, item) == record
    assert job_from_stream({"dynamodb": {"NewImage": item}}) is None


def test_deletions_in_the_stream_are_no_jobs() -> None:
    assert job_from_stream({"dynamodb": {"Keys": {"pk": {"S": "job#x"}}}}) is None


@settings(deadline=None)
@given(moments, moments)
def test_times_sort_as_text(first: datetime, second: datetime) -> None:
    assert (to_text(first) < to_text(second)) == (first < second)
