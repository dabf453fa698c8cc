import json
from typing import Any

import pytest

from infra.stages import stage_config
from tests.infrastructure.assembly import STAGE, Assembly, Resource


@pytest.fixture
def states(assembly: Assembly) -> dict[str, Any]:
    """The states of the machine, with "x" for every reference."""
    text = assembly.batch.only("AWS::StepFunctions::StateMachine")["DefinitionString"]
    parts = [part if isinstance(part, str) else "x" for part in text["Fn::Join"][1]]
    found: dict[str, Any] = json.loads("".join(parts))["States"]
    return found


def maps(states: dict[str, Any]) -> list[dict[str, Any]]:
    return [state for state in states.values() if state["Type"] == "Map"]


def test_every_map_is_bounded_by_the_stage(states: dict[str, Any]) -> None:
    limits = stage_config(STAGE).batches
    assert maps(states)
    for state in maps(states):
        assert state["MaxConcurrency"] == limits.max_concurrent_tasks > 0
        assert state["ItemBatcher"]["MaxItemsPerBatch"] == limits.rows_per_task
        assert state["ToleratedFailurePercentage"] == 100
        assert state["ResultWriter"]["Parameters"]["Prefix.$"] == "$.results_prefix"


def test_a_task_is_told_of_its_run_and_ends_after_its_jobs(states: dict[str, Any]) -> None:
    (state,) = maps(states)
    paths = {"batch.$": "$.batch", "run.$": "$.run", "started_at.$": "$.started_at"}
    assert state["ItemBatcher"]["BatchInput"] == paths
    (task,) = state["ItemProcessor"]["States"].values()
    assert task["Resource"].endswith(":states:::lambda:invoke.waitForTaskToken")
    assert task["Parameters"]["Payload"]["token.$"] == "$$.Task.Token"
    # The sweep comes every five minutes and lets a job be quiet for five.
    assert task["TimeoutSeconds"] >= stage_config(STAGE).times.deadline_seconds + 600


def test_the_machine_is_traced_and_logs_no_prompt(assembly: Assembly) -> None:
    machine = assembly.batch.only("AWS::StepFunctions::StateMachine")
    assert machine["TracingConfiguration"] == {"Enabled": True}
    logging = machine["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)


def test_only_manifests_start_it_and_lost_events_are_kept(assembly: Assembly) -> None:
    rule = assembly.batch.only("AWS::Events::Rule")
    assert rule["EventPattern"]["detail"]["object"]["key"] == [
        {"wildcard": "batches/*/manifest.jsonl"},
        {"wildcard": "batches/*/manifest.csv"},
        {"wildcard": "batches/*/task.json"},
    ]
    assert rule["EventPattern"]["detail-type"] == ["Object Created"]
    (target,) = rule["Targets"]
    assert target["DeadLetterConfig"]["Arn"]


def test_the_bucket_tells_eventbridge_without_a_function(assembly: Assembly) -> None:
    (bucket,) = (
        bucket["Properties"]
        for name, bucket in assembly.storage.of_type("AWS::S3::Bucket").items()
        if name.startswith("Batches")
    )
    assert bucket["NotificationConfiguration"] == {
        "EventBridgeConfiguration": {"EventBridgeEnabled": True}
    }
    days = [rule.get("ExpirationInDays") for rule in bucket["LifecycleConfiguration"]["Rules"]]
    assert stage_config(STAGE).batches.days in days


def statements(assembly: Assembly, function: str) -> list[Resource]:
    (policy,) = (
        policy["Properties"]
        for name, policy in assembly.batch.of_type("AWS::IAM::Policy").items()
        if name.startswith(f"Functions{function}Role")
    )
    found: list[Resource] = policy["PolicyDocument"]["Statement"]
    return found


@pytest.mark.parametrize("function", ["Prepare", "Submit", "Settle", "Finish"])
def test_functions_reach_no_more_of_s3_than_they_need(assembly: Assembly, function: str) -> None:
    for statement in statements(assembly, function):
        actions = json.dumps(statement["Action"])
        if "s3:" in actions:
            assert "Delete" not in actions
            if "ListBucket" in actions:
                assert statement["Condition"]
            else:
                assert "/*" in json.dumps(statement["Resource"])
                assert '"/*"' not in json.dumps(statement["Resource"])


def test_only_settling_answers_tokens(assembly: Assembly) -> None:
    holders = [
        function
        for function in ("Prepare", "Submit", "Settle", "Finish")
        if "states:" in json.dumps([each["Action"] for each in statements(assembly, function)])
    ]
    assert holders == ["Settle"]


def test_the_stream_announces_ended_jobs_of_batches_in_its_second_function(
    assembly: Assembly,
) -> None:
    patterns = [
        mapping["Properties"]["FilterCriteria"]["Filters"][0]["Pattern"]
        for _, _, mapping in assembly.all_of("AWS::Lambda::EventSourceMapping")
        if "FilterCriteria" in mapping["Properties"]
    ]
    assert sum('{"prefix": "batch:"}' in json.dumps(json.loads(each)) for each in patterns) == 1
    assert len(patterns) == 2


def test_trouble_with_batches_raises_alarms(assembly: Assembly) -> None:
    alarms = assembly.observability.of_type("AWS::CloudWatch::Alarm").values()
    metrics = [alarm["Properties"].get("MetricName") for alarm in alarms]
    assert {"ExecutionsFailed", "ExecutionsTimedOut"} <= set(metrics)
    queues = json.dumps([alarm["Properties"].get("Dimensions") for alarm in alarms])
    assert "BatchMissed" in queues
    assert "EndedJobsDeadLetters" in queues
