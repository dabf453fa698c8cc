import json
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from infra.constructs.release_job import self_test_of
from infra.stages import stage_config
from nvfp4_ddim_contracts.edge import MAX_DOCUMENT_CHARACTERS, InstallJob
from nvfp4_ddim_optimizer.artifacts.verify import artifact_sha256
from tests.infrastructure.assembly import Assembly

OWN = "${iot:Connection.Thing.ThingName}"


def statements(policy: dict[str, Any]) -> dict[str, tuple[list[str], Any]]:
    """Resources, less what precedes the type, and condition by action."""
    found = {}
    for statement in policy["PolicyDocument"]["Statement"]:
        assert statement["Effect"] == "Allow"
        resources = [resource["Fn::Join"][1][-1] for resource in statement["Resource"]]
        found[statement["Action"]] = (
            [resource.lstrip(":") for resource in resources],
            statement.get("Condition"),
        )
    return found


def policy_named(assembly: Assembly, end: str) -> dict[str, tuple[list[str], Any]]:
    (policy,) = (
        each["Properties"]
        for each in assembly.edge.of_type("AWS::IoT::Policy").values()
        if each["Properties"]["PolicyName"].endswith(end)
    )
    return statements(policy)


def test_a_device_speaks_as_itself_alone(assembly: Assembly) -> None:
    allowed = policy_named(assembly, "-device")
    assert set(allowed) == {"iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive"}
    assert allowed["iot:Connect"] == (
        [f"client/{OWN}"], {"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}}
    )  # fmt: skip
    for action in ("iot:Publish", "iot:Subscribe", "iot:Receive"):
        for resource in allowed[action][0]:
            kind, topic = resource.split("/", 1)
            assert kind == ("topicfilter" if action == "iot:Subscribe" else "topic")
            assert topic.startswith((f"$aws/things/{OWN}/jobs/", f"$aws/things/{OWN}/shadow/"))
            # A filter of many levels, such as jobs/#, must not pass.
            assert not fnmatchcase(f"$aws/things/{OWN}/jobs/#", topic)
            assert not fnmatchcase(f"$aws/things/{OWN}/#", topic)


def test_a_claim_may_only_become_a_device(assembly: Assembly) -> None:
    allowed = policy_named(assembly, "-claim")
    assert allowed["iot:Connect"][0] == ["client/nvfp4-ddim-dev-claim-*"]
    for action in ("iot:Publish", "iot:Subscribe", "iot:Receive"):
        for resource in allowed[action][0]:
            topic = resource.split("/", 1)[1]
            assert topic.startswith(
                ("$aws/certificates/create-from-csr/json",
                 "$aws/provisioning-templates/nvfp4-ddim-dev/provision/json")
            )  # fmt: skip
            assert "*" not in topic


def test_provisioned_devices_get_the_device_policy_and_a_group(assembly: Assembly) -> None:
    template = assembly.edge.only("AWS::IoT::ProvisioningTemplate")
    text = json.dumps(template["TemplateBody"])
    assert template["TemplateType"] == "FLEET_PROVISIONING"
    groups = {
        each["Properties"]["ThingGroupName"]
        for each in assembly.edge.of_type("AWS::IoT::ThingGroup").values()
    }
    assert groups == {f"nvfp4-ddim-dev-{end}" for end in ("cpu-x86", "cpu-arm64", "gpu")}
    for part in ("nvfp4-ddim-dev-device", "nvfp4-ddim-dev-", "SerialNumber", "cdn_url"):
        assert part in text


def test_the_release_rolls_out_slowly_and_stops_at_failures(assembly: Assembly) -> None:
    job = assembly.edge.only("AWS::IoT::JobTemplate")
    document = InstallJob.model_validate_json(job["Document"])
    pointer = json.loads(assembly.inference.only("Custom::PublishFiles")["PointerBody"])
    assert document.artifact_sha256 == pointer["artifact_sha256"]
    assert document.artifact_sha256[:12] in job["JobTemplateId"]
    assert len(job["Document"]) <= MAX_DOCUMENT_CHARACTERS
    rate = job["JobExecutionsRolloutConfig"]["ExponentialRolloutRate"]
    assert rate["BaseRatePerMinute"] < job["JobExecutionsRolloutConfig"]["MaximumPerMinute"]
    kinds = {each["FailureType"]: each for each in job["AbortConfig"]["CriteriaList"]}
    assert kinds["FAILED"]["Action"] == "CANCEL"
    assert kinds["FAILED"]["ThresholdPercentage"] <= 20
    (retry,) = job["JobExecutionsRetryConfig"]["RetryCriteriaList"]
    assert retry == {"FailureType": "TIMED_OUT", "NumberOfRetries": 2}


def test_the_bundled_model_has_a_picture_to_be_tested_by() -> None:
    directory: Path = stage_config("dev").model_directory
    test = self_test_of(artifact_sha256(directory))
    assert test.expected_png is not None, (
        "the bundled artifact changed: run `nvfp4-ddim edge reference emoji-64 infra/self_tests`"
    )
    assert len(test.model_dump_json()) < MAX_DOCUMENT_CHARACTERS - 1_000
