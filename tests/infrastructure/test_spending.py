"""What a stop reaches, on a stage with every lane, and who may do what for it."""

import json
from typing import Any

import pytest

from nvfp4_ddim_contracts.machines import LaneMachines
from nvfp4_ddim_contracts.operations import ScalableTarget
from nvfp4_ddim_contracts.table import JOB_PARTITIONS, STOP_PARTITION, STREAM_PARTITIONS
from tests.infrastructure.assembly import Assembly, Resource, Template

LONGEST_STOP_SECONDS = 7 * 24 * 3_600


def _literal(value: Any) -> str:
    """A text with references in it, each of which becomes a word."""
    if isinstance(value, str):
        return value
    parts = value["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else "x" for part in parts)


def _targets(assembly: Assembly) -> dict[str, ScalableTarget]:
    text = _literal(assembly.inference.body["Outputs"]["ScalableTargets"]["Value"])
    resources = [ScalableTarget.model_validate(each) for each in json.loads(text)]
    return {("realtime" if each.stopped_capacity else "asynchronous"): each for each in resources}


def _functions(template: Template) -> list[tuple[Resource, dict[str, Any]]]:
    """Functions' properties and variables."""
    return [
        (each["Properties"], each["Properties"].get("Environment", {}).get("Variables", {}))
        for each in template.of_type("AWS::Lambda::Function").values()
    ]


def _function(template: Template, handler: str) -> tuple[Resource, dict[str, Any]]:
    (found,) = (
        each for each in _functions(template) if each[1].get("POWERTOOLS_SERVICE_NAME") == handler
    )
    return found


def _table_rights(template: Template, handler: str) -> dict[str, list[str] | None]:
    """A function's actions on the job table, and the partitions that each is bound to."""
    function, _ = _function(template, handler)
    return _rights_of(template, function["Role"]["Fn::GetAtt"][0])


def _rights_of(template: Template, role: str) -> dict[str, list[str] | None]:
    rights: dict[str, list[str] | None] = {}
    for policy in template.of_type("AWS::IAM::Policy").values():
        if {"Ref": role} not in policy["Properties"]["Roles"]:
            continue
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                if action.startswith("dynamodb:") and "index" not in json.dumps(statement):
                    conditions = statement.get("Condition", {}).values()
                    keys = [each["dynamodb:LeadingKeys"] for each in conditions]
                    rights[action] = keys[0] if keys else None
    return rights


def test_a_stop_knows_every_endpoint_that_is_paid_while_it_stands(every_lane: Assembly) -> None:
    targets = _targets(every_lane)
    waiting, standing = targets["asynchronous"], targets["realtime"]
    assert (waiting.min_capacity, waiting.max_capacity, waiting.stopped_capacity) == (0, 4, 0)
    assert (standing.min_capacity, standing.max_capacity, standing.stopped_capacity) == (1, 3, 1)
    _, stop = _function(every_lane.inference, "stop_spending")
    output = every_lane.inference.body["Outputs"]["ScalableTargets"]["Value"]
    assert stop["SCALABLE_TARGETS"] == output


def test_who_stops_may_change_these_endpoints_and_no_other(every_lane: Assembly) -> None:
    changes = [
        statement
        for policy in every_lane.inference.of_type("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "sagemaker:UpdateEndpointWeightsAndCapacities" in statement["Action"]
    ]
    assert changes
    endpoints = every_lane.inference.of_type("AWS::SageMaker::Endpoint")
    named = {each["Ref"] for statement in changes for each in statement["Resource"]}
    assert named <= set(endpoints)
    # All but the serverless one, which has no machine of its own.
    assert len(named) == 2
    assert not any("Serverless" in name for name in named)


def test_the_alarm_on_a_stop_says_what_is_still_paid(
    every_lane: Assembly, assembly: Assembly
) -> None:
    texts = [
        alarm["Properties"]["AlarmDescription"]
        for each in (every_lane, assembly)
        for name, alarm in each.observability.of_type("AWS::CloudWatch::Alarm").items()
        if "ServiceStopped" in name
    ]
    assert ["still paid" in text for text in texts] == [True, False]


@pytest.mark.parametrize(
    ("stack", "handler", "rights"),
    [
        ("api", "create_upload", {"dynamodb:GetItem": [STOP_PARTITION]}),
        ("batch", "prepare_batch", {"dynamodb:GetItem": [STOP_PARTITION]}),
        ("quantization", "prepare_quantization", {"dynamodb:GetItem": [STOP_PARTITION]}),
        ("quantization", "publish_quantization", {}),
        (
            "api",
            "stream_job_events",
            {"dynamodb:GetItem": None, "dynamodb:UpdateItem": [STREAM_PARTITIONS]},
        ),
    ],
)
def test_each_function_has_the_rights_on_the_table_that_it_needs(
    assembly: Assembly, stack: str, handler: str, rights: dict[str, Any]
) -> None:
    found = _table_rights(getattr(assembly, stack), handler)
    assert {name: _list(value) for name, value in found.items()} == rights


def test_the_lanes_own_functions_read_the_flag_and_write_jobs_alone(every_lane: Assembly) -> None:
    inference = every_lane.inference
    functions = _functions(inference)
    callers = [
        each["Role"]["Fn::GetAtt"][0]
        for each, variables in functions
        if "CALLED_ENDPOINT_NAME" in variables
    ]
    assert len(callers) == 2
    for role in callers:
        rights = _rights_of(inference, role)
        assert set(rights) == {"dynamodb:GetItem", "dynamodb:UpdateItem"}
        assert _list(rights["dynamodb:UpdateItem"]) == [JOB_PARTITIONS]
    ((function, variables),) = (each for each in functions if each[0].get("PackageType") == "Image")
    assert "JOB_TABLE_NAME" in variables
    rights = _rights_of(inference, function["Role"]["Fn::GetAtt"][0])
    assert _list(rights["dynamodb:GetItem"]) == [STOP_PARTITION]


def _list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _states(template: Template) -> dict[str, Resource]:
    (machine,) = template.of_type("AWS::StepFunctions::StateMachine").values()
    definition: dict[str, Resource] = json.loads(
        _literal(machine["Properties"]["DefinitionString"])
    )
    return definition


@pytest.mark.parametrize("stack", ["batch", "quantization"])
def test_what_is_dropped_while_stopped_is_asked_for_again_for_a_week(
    assembly: Assembly, stack: str
) -> None:
    definition = _states(getattr(assembly, stack))
    (retry,) = (
        each
        for each in definition["States"]["Prepare"]["Retry"]
        if each["ErrorEquals"] == ["ServiceStoppedError"]
    )
    waits = retry["IntervalSeconds"] * retry["MaxAttempts"]
    assert waits == LONGEST_STOP_SECONDS
    assert retry["BackoffRate"] == 1
    # The whole execution has time for that, and for its work afterwards.
    assert definition["TimeoutSeconds"] > waits + 4 * 3_600


def test_the_recorder_knows_every_lanes_machine_and_none_of_a_ladder(every_lane: Assembly) -> None:
    _, recorder = _function(every_lane.api, "record_result")
    machines = LaneMachines.model_validate_json(recorder["LANE_MACHINES"]).machines
    assert {lane.value: machine.kind for lane, machine in machines.items()} == {
        "lambda": "function",
        "realtime": "instance",
        "serverless": "serverless",
    }


def test_each_pool_of_the_ladder_tells_its_containers_their_machine(every_lane: Assembly) -> None:
    resources = every_lane.inference.body["Resources"]
    (config,) = (
        each["Properties"]
        for name, each in every_lane.inference.of_type("AWS::SageMaker::EndpointConfig").items()
        if name.startswith("Inference")
    )
    for pool in config["ProductionVariants"][0]["InstancePools"]:
        model = resources[pool["ModelNameOverride"]["Fn::GetAtt"][0]]
        environment = model["Properties"]["PrimaryContainer"]["Environment"]
        assert environment["SERVER_INSTANCE_TYPE"] == pool["InstanceType"]


def test_the_dashboard_counts_every_way_to_make_a_job(assembly: Assembly) -> None:
    body = _literal(assembly.observability.only("AWS::CloudWatch::Dashboard")["DashboardBody"])
    (jobs,) = (
        each["properties"]
        for each in json.loads(body)["widgets"]
        if each["properties"]["title"] == "Jobs"
    )
    makers = {metric[3] for metric in jobs["metrics"] if metric[1] == "JobsCreated"}
    assert makers == {"create_job", "create_image", "submit_batch"}


def test_a_caller_holds_so_many_streams_of_the_stages(assembly: Assembly) -> None:
    _, streamer = _function(assembly.api, "stream_job_events")
    assert streamer["MAX_EVENT_STREAMS_PER_CALLER"] == "10"
