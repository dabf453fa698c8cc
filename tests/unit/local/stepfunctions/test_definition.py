import json
from typing import Any

import pytest

from local.errors import UnsupportedResourceError
from local.stepfunctions.definition import Batching, read_definition
from local.stepfunctions.distributed_map import exceeds, make_batches

READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSONL"},
    "Parameters": {"Bucket": "b", "Key": "k"},
}
PROCESSOR = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    "StartAt": "Inner",
    "States": {"Inner": {"Type": "Pass", "End": True}},
}


def machine(**changes: Any) -> str:
    state = {"Type": "Map", "ItemReader": READER, "ItemProcessor": PROCESSOR, "End": True}
    return json.dumps({"StartAt": "All", "States": {"All": {**state, **changes}}})


def test_what_moto_cannot_parse_is_taken_out_and_kept() -> None:
    batcher = {"MaxItemsPerBatch": 7, "BatchInput": {"name.$": "$.name"}}
    definition = read_definition(machine(ItemBatcher=batcher, ToleratedFailurePercentage=5))
    state = json.loads(definition.text)["States"]["All"]
    assert "ItemBatcher" not in state
    assert state["ItemReader"]["ReaderConfig"]["InputType"] == "JSON"
    assert '"ToleratedFailurePercentage": 5.0' in definition.text
    extras = definition.extras["All"]
    assert extras.reads_json_lines
    assert extras.batching == Batching(7, {"name.$": "$.name"})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ItemBatcher": {"MaxInputBytesPerBatch": 9}}, "MaxInputBytesPerBatch"),
        ({"ItemBatcher": {"BatchInput": {}}}, "without MaxItemsPerBatch"),
        (
            {"ItemBatcher": {"MaxItemsPerBatch": 1, "BatchInput": {"a.$": "States.UUID()"}}},
            "States.UUID()",
        ),
        ({"ItemReader": {**READER, "ReaderConfig": {"InputType": "PARQUET"}}}, "PARQUET"),
        ({"ResultWriter": {"Resource": "x", "WriterConfig": {}}}, "WriterConfig"),
        ({"MaxConcurrencyPath": "$.n"}, "MaxConcurrencyPath"),
        ({"Type": "Activity"}, "Activity"),
        ({"ItemProcessor": {**PROCESSOR, "ProcessorConfig": {"Mode": "INLINE"}}}, "ItemReader"),
    ],
)
def test_what_cannot_run_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnsupportedResourceError, match="cannot run") as refused:
        read_definition(machine(**changes))
    assert reason in str(refused.value)


def test_a_task_deep_inside_is_checked() -> None:
    task = {"Type": "Task", "Resource": "arn:aws:states:::batch:submitJob.sync", "End": True}
    branch = {"StartAt": "Deep", "States": {"Deep": task}}
    parallel = {"Type": "Parallel", "Branches": [branch], "End": True}
    with pytest.raises(UnsupportedResourceError, match="submitJob"):
        read_definition(json.dumps({"StartAt": "P", "States": {"P": parallel}}))


def test_text_that_is_no_json_is_refused() -> None:
    with pytest.raises(UnsupportedResourceError, match="no JSON"):
        read_definition("StartAt: A")


def test_batches_share_their_input() -> None:
    batching = Batching(2, {"name.$": "$.detail.name", "kind": "x"})
    made = make_batches([1, 2, 3], batching, {"detail": {"name": "n"}})
    shared = {"name": "n", "kind": "x"}
    assert made == [
        {"BatchInput": shared, "Items": [1, 2]},
        {"BatchInput": shared, "Items": [3]},
    ]
    assert make_batches([1, 2], None, {}) == [1, 2]
    assert make_batches([], batching, {"detail": {"name": "n"}}) == []


@pytest.mark.parametrize(
    ("failed", "count", "percentage", "expected"),
    [
        (0, 0, 0.0, False),
        (1, 0, 0.0, True),
        (5, 0, 5.0, False),
        (6, 0, 5.0, True),
        (3, 3, 0.0, False),
        (4, 3, 50.0, True),
    ],
)
def test_tolerated_failures(failed: int, count: int, percentage: float, expected: bool) -> None:
    assert exceeds(failed, 100, count=count, percentage=percentage) is expected


@pytest.mark.parametrize(
    ("task", "runs"),
    [
        ("sagemaker:createProcessingJob.sync", True),
        ("sagemaker:createProcessingJob", False),
        ("sagemaker:createTrainingJob.sync", False),
    ],
)
def test_of_sagemakers_tasks_one_runs(task: str, *, runs: bool) -> None:
    state = {"Type": "Task", "Resource": f"arn:aws:states:::{task}", "End": True}
    text = json.dumps({"StartAt": "Job", "States": {"Job": state}})
    if runs:
        assert read_definition(text).extras == {}
    else:
        with pytest.raises(UnsupportedResourceError, match=task):
            read_definition(text)
