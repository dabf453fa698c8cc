"""Rows of tasks, and folders with a `task.json`, from the dropped file to the results."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.domain.batches.folder import BatchFolder, FolderFile
from lambdas.domain.batches.manifest import read_manifest
from lambdas.domain.errors import InvalidBatchError
from lambdas.domain.records import JobRecord, StoredFile, Transition
from nvfp4_ddim_contracts import JobState, Timings
from nvfp4_ddim_contracts.batches import (
    BatchItem,
    BatchRowError,
    BatchRowState,
    ManifestFormat,
    batch_owner,
)
from nvfp4_ddim_contracts.keys import upload_key
from nvfp4_ddim_contracts.tasks import TASKS, TaskName
from tests.support_tasks import MAX_TOY_BYTES, install_toy

from .test_batches import batch, deliver, run_map, task_of

__all__ = ["batch"]

JSONL, CSV, FOLDER = ManifestFormat.JSONL, ManifestFormat.CSV, ManifestFormat.FOLDER
FILES = {
    "a.png": 10,
    "photos/b b.jpg": 20,
    "notes.txt": 5,
    "large.png": MAX_TOY_BYTES + 1,
    "results/old.png": 1,
    "rows/x.json": 1,
    "task.json": 1,
}


@pytest.fixture(autouse=True, scope="module")
def _toy() -> Any:
    with pytest.MonkeyPatch.context() as patch:
        install_toy(patch)
        yield


def folder(version: str = "1") -> BatchFolder:
    files = [FolderFile(path, size, version) for path, size in FILES.items()]
    return BatchFolder("cells", lambda: files)


def read(text: str, kind: ManifestFormat, place: BatchFolder | None = None) -> list[Any]:
    return list(read_manifest(text.encode(), kind, place or folder()))


def row(path: Any = "a.png", **rest: Any) -> str:
    return json.dumps({"task": "segment", "inputs": {"image": {"file": path}}, **rest})


def test_a_row_names_a_file_of_the_folder() -> None:
    text = row(id="one", parameters={"samples": 2}) + '\n{"prompt": "a fox"}'
    item, painting = read(text, JSONL)
    assert isinstance(item, BatchItem)
    (upload_id,) = item.files
    assert item.files == {upload_id: "a.png"}
    assert item.request.model_dump(mode="json")["inputs"]["image"]["upload"] == upload_id
    assert (item.id, painting.id) == ("one", "row-000002")
    assert BatchItem.model_validate_json(item.model_dump_json()) == item


def test_a_changed_file_is_another_row() -> None:
    (before,), (after,) = read(row(), JSONL), read(row(), JSONL, folder("2"))
    assert before.digest != after.digest
    assert read(row(), JSONL) == [before]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (row("gone.png"), "inputs.image"),
        (row("notes.txt"), "inputs.image"),
        (row("large.png"), "inputs.image"),
        (row("results/old.png"), "inputs.image"),
        (row("../../other/a.png"), "inputs.image"),
        (row(3), "inputs.image"),
        (row(id="a b"), "id"),
        (row(parameters={"samples": 99}), "parameters.samples"),
        (row(colour="red"), "colour"),
        (json.dumps({"task": "segment"}), "inputs"),
        (json.dumps({"task": "segment", "inputs": {"image": {"data": "AAAA"}}}), "inputs.image"),
        (json.dumps({"task": "juggle"}), "task"),
        (json.dumps({"task": ["segment"]}), "task"),
    ],
)
def test_a_row_that_is_none_is_told_apart(text: str, field: str) -> None:
    error, good = read(f"{text}\n{row()}", JSONL)
    assert isinstance(error, BatchRowError)
    assert [each.field for each in error.errors] == [field]
    assert isinstance(good, BatchItem)


def test_a_csv_has_columns_for_files_and_parameters() -> None:
    text = (
        "id,task,prompt,inputs.image,parameters.samples\n"
        "one,segment,,photos/b b.jpg,3\ntwo,,a fox,,\nthree,segment,,a.png,\n"
    )
    one, two, three = read(text, CSV)
    assert one.request.model_dump()["parameters"]["samples"] == 3
    assert list(one.files.values()) == ["photos/b b.jpg"]
    assert two.request.model_dump()["prompt"] == "a fox"
    assert three.request.model_dump()["parameters"]["samples"] == 1
    with pytest.raises(InvalidBatchError, match=r"inputs\.colour"):
        read("task,inputs.colour\nsegment,a.png\n", CSV)


def test_a_folder_is_one_row_a_file() -> None:
    text = json.dumps({"task": "segment", "parameters": {"samples": 2}, "seed": 7})
    items = read(text, FOLDER)
    assert [(item.line, item.id) for item in items] == [
        (1, "a"),
        (2, "large"),
        (3, "photos-b-b"),
    ]
    assert isinstance(items[1], BatchRowError)
    assert items[2].request.model_dump()["parameters"]["samples"] == 2
    assert items[2].request.seed == 7


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"task": "juggle"}', '{"task": "generate"}'])
def test_a_file_that_is_no_task_is_refused(text: str) -> None:
    with pytest.raises(InvalidBatchError, match="segment"):
        read(text, FOLDER)


def test_a_folder_does_not_say_which_files_belong_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spec = TASKS[TaskName.SEGMENT]
    slots = tuple(type(slot)(slot.name, slot.media_types, slot.max_bytes) for slot in spec.inputs)
    monkeypatch.setitem(TASKS, TaskName.SEGMENT, type(spec)(**{**vars(spec), "inputs": slots}))
    with pytest.raises(InvalidBatchError, match="image, mask together"):
        read('{"task": "segment"}', FOLDER)


@given(
    st.lists(
        st.text("aB/ ._-é", min_size=1, max_size=12).map(lambda name: f"{name}.png"), max_size=12
    )
)
def test_every_file_of_a_folder_has_an_id_of_its_own(paths: list[str]) -> None:
    place = BatchFolder("x", lambda: [FolderFile(path, 1, "1") for path in paths])
    items = read('{"task": "segment"}', FOLDER, place)
    assert len({item.id for item in items}) == len(items) == len(place.files)


def finish(world: SimpleNamespace, job: JobRecord) -> None:
    """The job ends as the recorder would end it."""
    world.objects.items[f"results/{job.id}/mask.png"] = b"mask"
    file = StoredFile(
        name="mask.png",
        key=f"results/{job.id}/mask.png",
        media_type="image/png",
        bytes=4,
        sha256="ab" * 32,
    )
    world.jobs.apply(
        Transition(
            job_id=job.id,
            target=JobState.SUCCEEDED,
            at=world.clock.now(),
            files=(file,),
            timings=Timings(queue_seconds=1, generate_seconds=2, encode_seconds=1),
        )
    )


def test_a_folder_becomes_files_once(batch: SimpleNamespace) -> None:
    batch.files.items["batches/cells/a.png"] = b"picture"
    batch.files.items["batches/cells/task.json"] = b'{"task": "segment", "seed": 1}'
    run = batch.preparer.prepare("batches/cells/task.json", "run")
    assert (run.rows, run.invalid) == (1, 0)
    batch.submitter.submit(task_of(batch, run, "token"))
    (job,) = batch.world.jobs.items.values()
    (key,) = batch.world.uploads.bodies
    assert key.startswith(upload_key(batch_owner("cells"), ""))
    assert batch.world.uploads.bodies[key] == b"picture"
    assert batch.world.uploads.items[key].content_type == "image/png"

    finish(batch.world, job)
    assert batch.announcer.announce(batch.world.jobs.get(job.id))
    deliver(batch)
    (entry,) = batch.tokens.answered["token"].entries
    assert entry.state is BatchRowState.SUCCEEDED
    assert [file.key for file in entry.files] == ["results/a/mask.png"]
    assert batch.files.items["batches/cells/results/a/mask.png"] == b"mask"

    output = batch.tokens.answered["token"].model_dump_json()
    batch.files.items["done"] = json.dumps([{"Output": output}]).encode()
    results = {"FAILED": [], "PENDING": [], "SUCCEEDED": [{"Key": "done"}]}
    batch.files.items["map"] = json.dumps({"ResultFiles": results}).encode()
    assert batch.finisher.finish(run, "map")
    page = batch.files.items["batches/cells/index.html"].decode()
    assert '<img src="results/a/mask.png"' in page

    again = batch.preparer.prepare("batches/cells/task.json", "again")
    batch.submitter.submit(task_of(batch, again, "second"))
    deliver(batch)
    assert batch.tokens.answered["second"].entries[0].reused
    assert len(batch.world.jobs.items) == 1


def test_a_file_that_is_gone_fails_its_row(batch: SimpleNamespace) -> None:
    batch.files.items["batches/cells/a.png"] = b"picture"
    batch.files.items["batches/cells/task.json"] = b'{"task": "segment"}'
    run = batch.preparer.prepare("batches/cells/task.json", "run")
    del batch.files.items["batches/cells/a.png"]
    run_map(batch, run, "token")
    (entry,) = batch.tokens.answered["token"].entries
    assert entry.state is BatchRowState.FAILED
    assert "a.png" in (entry.error or "")


def test_a_folder_without_files_is_one_error(batch: SimpleNamespace) -> None:
    batch.files.items["batches/cells/task.json"] = b'{"task": "segment"}'
    run = batch.preparer.prepare("batches/cells/task.json", "run")
    assert (run.rows, run.invalid) == (0, 1)
    (error,) = batch.files.lines(run.errors_key)
    assert "before task.json" in error["errors"][0]["message"]
