import json
from typing import Any

import pytest

from infra.errors import CapacityError
from infra.quantization_options import QuantizationCapacity
from infra.stages import stage_config
from nvfp4_ddim_contracts.incoming import quantization_job
from tests.infrastructure.assembly import IMAGE_URI, STAGE, Assembly, Resource


@pytest.fixture
def states(assembly: Assembly) -> dict[str, Any]:
    """The states of the machine, with "x" for every reference."""
    text = assembly.quantization.only("AWS::StepFunctions::StateMachine")["DefinitionString"]
    parts = [part if isinstance(part, str) else "x" for part in text["Fn::Join"][1]]
    found: dict[str, Any] = json.loads("".join(parts))["States"]
    return found


def statements(assembly: Assembly, owner: str) -> list[Resource]:
    policies = assembly.quantization.of_type("AWS::IAM::Policy")
    (policy,) = (
        each["Properties"]
        for each in policies.values()
        if each["Properties"]["PolicyName"].startswith(owner)
    )
    found: list[Resource] = policy["PolicyDocument"]["Statement"]
    return found


def test_the_job_is_the_stages_and_reaches_nobody(states: dict[str, Any]) -> None:
    state = states["Quantize"]
    assert state["Resource"].endswith(":states:::sagemaker:createProcessingJob.sync")
    job = state["Parameters"]
    capacity = stage_config(STAGE).quantization
    assert job["ProcessingResources"]["ClusterConfig"] == {
        "InstanceCount": 1,
        "InstanceType": capacity.instance_type,
        "VolumeSizeInGB": capacity.volume_gb,
    }
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": capacity.max_runtime_seconds}
    # What the job answers must not take the place of what publishing has to know.
    assert state["ResultPath"] is None
    assert state["TimeoutSeconds"] > capacity.max_runtime_seconds
    assert job["NetworkConfig"] == {"EnableNetworkIsolation": True}
    assert job["AppSpecification"]["ImageUri"] == IMAGE_URI
    assert job["ProcessingOutputConfig"]["KmsKeyId"]
    assert job["ProcessingJobName.$"] == "$.job"


def test_job_names_are_sagemakers_and_covered_by_the_policy() -> None:
    name = quantization_job("0b3f_" * 14)
    assert len(name) <= 63
    assert name.startswith("quantize-")
    assert name.replace("-", "").isalnum()


def test_whatever_happens_is_reported_and_failures_fail(states: dict[str, Any]) -> None:
    for step in ("Prepare", "Quantize", "Publish"):
        assert states[step]["Catch"] == [
            {"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Report"}
        ]
    assert states["Ready?"]["Default"] == "Report"
    choice = states[states["Report"]["Next"]]
    (failed,) = choice["Choices"]
    assert (failed["StringEquals"], states[failed["Next"]]["Type"]) == ("failed", "Fail")
    assert states[failed["Next"]]["CausePath"] == "$.reason"
    assert states[choice["Default"]]["Type"] == "Succeed"


def test_only_orders_start_it_and_lost_events_are_kept(assembly: Assembly) -> None:
    rule = assembly.quantization.only("AWS::Events::Rule")
    assert rule["EventPattern"]["detail"]["object"]["key"] == [
        {"wildcard": "incoming/*/quantize.json"}
    ]
    (target,) = rule["Targets"]
    assert target["DeadLetterConfig"]["Arn"]
    assert "DeadLettersQuantizationStarts" in assembly.quantization.body["Outputs"]


def test_the_machine_is_traced_and_logs_no_prompt(assembly: Assembly) -> None:
    machine = assembly.quantization.only("AWS::StepFunctions::StateMachine")
    assert machine["TracingConfiguration"] == {"Enabled": True}
    logging = machine["LoggingConfiguration"]
    assert (logging["Level"], logging["IncludeExecutionData"]) == ("ALL", False)


def test_the_job_reads_what_was_dropped_and_writes_drafts_alone(assembly: Assembly) -> None:
    written, read = [], []
    for statement in statements(assembly, "JobRole"):
        actions, resource = json.dumps(statement["Action"]), json.dumps(statement["Resource"])
        assert "Delete" not in actions
        assert "models/" not in resource
        if "s3:PutObject" in actions:
            written.append(resource)
        if "s3:GetObject" in actions:
            read.append(resource)
        if "s3:ListBucket" in actions:
            assert statement["Condition"]
    assert all("/drafts/*" in each for each in written)
    assert len(written) == 1
    # Statements of the same actions are merged.
    (resources,) = (json.loads(each) for each in read)
    ends = sorted(each["Fn::Join"][1][-1] for each in resources)
    assert ends == ["/drafts/*", "/incoming/*"]


def test_only_publishing_signs_and_writes_the_registry_and_nothing_deletes(
    assembly: Assembly,
) -> None:
    for function in ("Prepare", "Publish", "Report"):
        text = json.dumps(
            [
                (each["Action"], each["Resource"])
                for each in statements(assembly, f"Functions{function}Role")
            ]
        )
        assert "Delete" not in text
        assert ("kms:Sign" in text) == (function == "Publish")
        puts = [
            json.dumps(each["Resource"])
            for each in statements(assembly, f"Functions{function}Role")
            if "s3:PutObject" in json.dumps(each["Action"])
        ]
        assert any("/models/*" in each for each in puts) == (function == "Publish")


def test_step_functions_passes_the_one_role_to_sagemaker_alone(assembly: Assembly) -> None:
    (statement,) = (
        each
        for each in statements(assembly, "QuantizationMachineRole")
        if each["Action"] == "iam:PassRole"
    )
    assert statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}
    }
    assert "Fn::GetAtt" in statement["Resource"]


def test_the_bucket_is_private_tells_event_bridge_and_forgets(
    assembly: Assembly, production: Assembly
) -> None:
    for stage, kept in ((assembly, False), (production, True)):
        (bucket,) = (
            each
            for name, each in stage.storage.of_type("AWS::S3::Bucket").items()
            if name.startswith("Incoming")
        )
        properties = bucket["Properties"]
        assert properties["NotificationConfiguration"] == {
            "EventBridgeConfiguration": {"EventBridgeEnabled": True}
        }
        assert all(properties["PublicAccessBlockConfiguration"].values())
        (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        rules = {each["Id"]: each for each in properties["LifecycleConfiguration"]["Rules"]}
        assert {"incoming", "drafts", "abandoned-uploads"} <= set(rules)
        assert not any("quantizations" in each.get("Prefix", "") for each in rules.values())
        assert (bucket["DeletionPolicy"] == "Retain") == kept


def test_trouble_raises_alarms(assembly: Assembly) -> None:
    alarms = assembly.observability.of_type("AWS::CloudWatch::Alarm").values()
    descriptions = [each["Properties"]["AlarmDescription"] for each in alarms]
    assert sum("#quantizations-failed" in each for each in descriptions) == 2
    assert "QuantizationMissed" in json.dumps(
        [each["Properties"].get("Dimensions") for each in alarms]
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"volume_gb": 10}, "needs a volume"), ({"max_runtime_seconds": 800_000}, "at most")],
)
def test_a_machine_that_is_too_small_is_refused(changes: dict[str, int], message: str) -> None:
    values: dict[str, Any] = {
        "instance_type": "ml.m7i.xlarge",
        "volume_gb": 40,
        "max_runtime_seconds": 60,
        "max_model_gb": 20,
        **changes,
    }
    with pytest.raises(CapacityError, match=message):
        QuantizationCapacity(**values)


def test_training_reads_and_writes_below_its_own_prefix(assembly: Assembly) -> None:
    texts = [
        (json.dumps(each["Action"]), json.dumps(each["Resource"]))
        for each in statements(assembly, "TrainingRole")
    ]
    s3 = [(actions, resources) for actions, resources in texts if "Object" in actions]
    assert s3
    for actions, resources in s3:
        place = "/training/jobs/*" if "Put" in actions else "/training/*"
        assert place in resources
        assert "incoming/*" not in resources
        assert "models/" not in resources
    outputs = assembly.quantization.body["Outputs"]
    assert {"JobImageUri", "JobKeyArn", "ProcessingRoleArn", "TrainingRoleArn"} <= set(outputs)
