"""A stage with every lane: the production stage's ladder, a function and both other endpoints."""

import json
from dataclasses import replace
from typing import Any

import pytest

from infra.errors import LaneOptionError
from infra.lane_options import (
    InstancePool,
    LambdaLane,
    RealtimeLane,
    ServerlessLane,
    WarmWindow,
)
from infra.stages import stage_config
from nvfp4_ddim_contracts import Lane, LaneOffers
from nvfp4_ddim_contracts.lanes import ASYNC_INVOCATION_SECONDS
from tests.infrastructure.assembly import Assembly, Resource
from tests.infrastructure.conftest import LANES, WINDOW


def _properties(assembly: Assembly, kind: str, part: str) -> Resource:
    (resource,) = (
        resource
        for name, resource in assembly.inference.of_type(kind).items()
        if name.startswith(part)
    )
    properties: Resource = resource["Properties"]
    return properties


def _functions(assembly: Assembly) -> dict[str, Resource]:
    return {
        name: resource["Properties"]
        for name, resource in assembly.inference.of_type("AWS::Lambda::Function").items()
    }


def test_the_ladder_tries_fp4_units_first(every_lane: Assembly) -> None:
    config = _properties(every_lane, "AWS::SageMaker::EndpointConfig", "Inference")
    (variant,) = config["ProductionVariants"]
    assert "InstanceType" not in variant
    assert variant["InferenceAmiVersion"] == "al2023-ami-sagemaker-inference-gpu-4-1"
    pools = variant["InstancePools"]
    families = [pool["InstanceType"].split(".")[1] for pool in pools]
    assert families == ["g7", "g7e", "g6e", "g6", "g5"]
    assert [pool["Priority"] for pool in pools] == [1, 2, 3, 4, 5]
    models = every_lane.inference.body["Resources"]
    containers = [
        models[pool["ModelNameOverride"]["Fn::GetAtt"][0]]["Properties"]["PrimaryContainer"]
        for pool in pools
    ]
    insisted = [container["Environment"]["SERVER_MIN_PRECISION"] for container in containers]
    assert insisted == ["nvfp4", "nvfp4", "any", "any", "any"]
    for container in containers:
        seconds = float(container["Environment"]["SERVER_REQUEST_TIMEOUT_SECONDS"])
        assert 3_500 < seconds < ASYNC_INVOCATION_SECONDS


def test_a_warm_window_raises_the_least_and_lets_it_down_again(every_lane: Assembly) -> None:
    target = _properties(every_lane, "AWS::ApplicationAutoScaling::ScalableTarget", "Scaling")
    assert target["MinCapacity"] == 0
    actions = {
        each["Schedule"]: each["ScalableTargetAction"] for each in target["ScheduledActions"]
    }
    assert actions == {
        f"cron({WINDOW.start})": {"MinCapacity": 2},
        f"cron({WINDOW.end})": {"MinCapacity": 0},
    }


def test_the_function_is_the_image_with_bounds(every_lane: Assembly) -> None:
    (function,) = (
        each for each in _functions(every_lane).values() if each.get("PackageType") == "Image"
    )
    assert "FunctionName" not in function
    assert function["Architectures"] == ["arm64"]
    assert (function["MemorySize"], function["ReservedConcurrentExecutions"]) == (3_008, 3)
    variables = function["Environment"]["Variables"]
    assert variables["SERVER_MODEL_SOURCE"] == "registry"
    assert variables["MODEL_NAME"] == "emoji-64"
    assert variables["SERVER_MODEL_CACHE_DIR"].split("/")[1] == "tmp"
    assert float(variables["SERVER_REQUEST_TIMEOUT_SECONDS"]) < function["Timeout"] == 900


def test_what_a_function_could_not_do_goes_to_the_topic_of_failures(every_lane: Assembly) -> None:
    failed = _properties(every_lane, "AWS::SageMaker::EndpointConfig", "Inference")[
        "AsyncInferenceConfig"
    ]["OutputConfig"]["NotificationConfig"]["ErrorTopic"]
    configs = every_lane.inference.of_type("AWS::Lambda::EventInvokeConfig").values()
    assert len(configs) == 3
    for config in configs:
        properties = config["Properties"]
        assert properties["MaximumRetryAttempts"] == 0
        assert properties["DestinationConfig"]["OnFailure"]["Destination"] == failed
        assert properties["MaximumEventAgeInSeconds"] == 3_600


def test_the_realtime_endpoint_never_scales_to_zero(every_lane: Assembly) -> None:
    config = _properties(every_lane, "AWS::SageMaker::EndpointConfig", "LanesRealtime")
    (variant,) = config["ProductionVariants"]
    assert variant["InitialInstanceCount"] == 1
    assert "AsyncInferenceConfig" not in config
    target = _properties(every_lane, "AWS::ApplicationAutoScaling::ScalableTarget", "LanesRealtime")
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)


def test_the_serverless_endpoint_fetches_its_model(every_lane: Assembly) -> None:
    config = _properties(every_lane, "AWS::SageMaker::EndpointConfig", "LanesServerless")
    (variant,) = config["ProductionVariants"]
    assert variant["ServerlessConfig"] == {"MemorySizeInMB": 6_144, "MaxConcurrency": 2}
    assert "InstanceType" not in variant
    model = every_lane.inference.body["Resources"][variant["ModelName"]["Fn::GetAtt"][0]]
    container = model["Properties"]["PrimaryContainer"]
    assert "ModelDataSource" not in container
    assert container["Environment"]["SERVER_MODEL_SOURCE"] == "registry"
    assert container["Environment"]["SERVER_DEVICE"] == "cpu"
    assert float(container["Environment"]["SERVER_REQUEST_TIMEOUT_SECONDS"]) < 60


def test_nothing_has_a_fixed_name(every_lane: Assembly) -> None:
    for kind, name in (
        ("AWS::SageMaker::Model", "ModelName"),
        ("AWS::SageMaker::EndpointConfig", "EndpointConfigName"),
        ("AWS::SageMaker::Endpoint", "EndpointName"),
        ("AWS::Lambda::Function", "FunctionName"),
    ):
        for resource in every_lane.inference.of_type(kind).values():
            assert name not in resource["Properties"]


def test_the_dispatcher_may_call_each_lane_and_the_api_knows_what_there_is(
    every_lane: Assembly,
) -> None:
    functions = [
        each["Properties"]["Environment"]["Variables"]
        for each in every_lane.api.of_type("AWS::Lambda::Function").values()
        if "Environment" in each["Properties"]
    ]
    (dispatch,) = (each for each in functions if each["POWERTOOLS_SERVICE_NAME"] == "dispatch_job")
    for lane in (Lane.LAMBDA, Lane.REALTIME, Lane.SERVERLESS):
        assert dispatch[f"{lane.upper()}_FUNCTION_NAME"]
    (create,) = (each for each in functions if each["POWERTOOLS_SERVICE_NAME"] == "create_job")
    offers = LaneOffers.model_validate_json(create["LANE_OFFERS"])
    assert offers == LANES.offers()
    assert {offer.lane for offer in offers.lanes} == set(Lane)
    statements = [
        statement
        for policy in every_lane.api.of_type("AWS::IAM::Policy").values()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Action"] == "lambda:InvokeFunction"
        and "Inference" not in json.dumps(policy["Properties"]["PolicyName"])
    ]
    (invoked,) = [each for each in statements if len(_list(each["Resource"])) == 3]
    assert "*" not in json.dumps(invoked["Resource"])


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_the_default_stages_have_the_asynchronous_lane_alone() -> None:
    for name in ("dev", "prod"):
        assert [offer.lane for offer in stage_config(name).lanes.offers().lanes] == [Lane.ASYNC]


@pytest.mark.parametrize(
    "make",
    [
        lambda: LambdaLane(memory_mb=20_000),
        lambda: LambdaLane(storage_mb=100),
        lambda: LambdaLane(timeout_seconds=1_000),
        lambda: RealtimeLane(instance_type="ml.g6.xlarge", min_instances=0, max_pixel_steps=1),
        lambda: ServerlessLane(memory_mb=7_168),
        lambda: WarmWindow(start="", end="", instances=0),
        lambda: replace(
            stage_config("prod").capacity,
            pools=(InstancePool(instance_type="ml.g5.xlarge"),) * 2,
        ),
    ],
)
def test_sizes_that_aws_does_not_have_are_refused(make: Any) -> None:
    with pytest.raises(LaneOptionError):
        make()
