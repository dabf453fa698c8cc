"""Thing groups, job templates, provisioning and the jobs data plane, as devices use them."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from nvfp4_ddim_contracts.edge import DeviceState
from nvfp4_ddim_edge.agent_ports import Job
from nvfp4_ddim_edge.errors import JobGoneError, JobServiceError
from nvfp4_ddim_edge.iot_https import HttpsJobs
from tests.support_local import Cloud

POLICY = {"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:us-east-1:1:client/a"}
]}  # fmt: skip
BODY = {
    "Parameters": {
        "SerialNumber": {"Type": "String"},
        "AWS::IoT::Certificate::Id": {"Type": "String"},
    },
    "Resources": {
        "thing": {
            "Type": "AWS::IoT::Thing",
            "Properties": {
                "ThingName": {"Fn::Join": ["", ["device-", {"Ref": "SerialNumber"}]]},
                "ThingTypeName": "Kind",
                "ThingGroups": ["boards"],
                "AttributePayload": {"serial": {"Ref": "SerialNumber"}},
            },
        },
        "certificate": {
            "Type": "AWS::IoT::Certificate",
            "Properties": {
                "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                "Status": "Active",
            },
        },
        "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "speak"}},
    },
}


def resources(body: dict[str, Any], document: str = '{"a": 1}') -> dict[str, Any]:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole"}
    return {
        "Type": {"Type": "AWS::IoT::ThingType", "Properties": {"ThingTypeName": "Kind"}},
        "Group": {
            "Type": "AWS::IoT::ThingGroup",
            "Properties": {
                "ThingGroupName": "boards",
                "ThingGroupProperties": {"ThingGroupDescription": "all boards"},
            },
        },
        "Policy": {
            "Type": "AWS::IoT::Policy",
            "Properties": {"PolicyName": "speak", "PolicyDocument": POLICY},
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{**trust, "Principal": {"Service": "iot.amazonaws.com"}}],
                }
            },
        },
        "Template": {
            "Type": "AWS::IoT::ProvisioningTemplate",
            "DependsOn": ["Type", "Group", "Policy"],
            "Properties": {
                "TemplateName": "join",
                "Enabled": True,
                "ProvisioningRoleArn": {"Fn::GetAtt": ["Role", "Arn"]},
                "TemplateBody": json.dumps(body),
            },
        },
        "Job": {
            "Type": "AWS::IoT::JobTemplate",
            "Properties": {
                "JobTemplateId": "release-1",
                "Description": "a release",
                "Document": document,
                "JobExecutionsRolloutConfig": {
                    "MaximumPerMinute": 50,
                    "ExponentialRolloutRate": {
                        "BaseRatePerMinute": 5,
                        "IncrementFactor": 2,
                        "RateIncreaseCriteria": {"NumberOfSucceededThings": 10},
                    },
                },
                "JobExecutionsRetryConfig": {
                    "RetryCriteriaList": [{"FailureType": "TIMED_OUT", "NumberOfRetries": 2}]
                },
                "TimeoutConfig": {"InProgressTimeoutInMinutes": 720},
                "AbortConfig": {
                    "CriteriaList": [
                        {
                            "Action": "CANCEL",
                            "FailureType": "FAILED",
                            "MinNumberOfExecutedThings": 2,
                            "ThresholdPercentage": 50,
                        }
                    ]
                },
            },
        },
    }


@pytest.fixture(scope="module")
def fleet(cloud: Cloud) -> list[str]:
    """Four things that joined by the deployed template."""
    stack = cloud.create_stack("fleet", resources(BODY))
    assert stack["StackStatus"] == "CREATE_COMPLETE", cloud.failure("fleet")
    iot = cloud.client("iot")
    template = iot.describe_provisioning_template(templateName="join")
    names = []
    for number in range(4):
        certificate = iot.create_keys_and_certificate(setAsActive=False)
        parameters = {
            "SerialNumber": str(number),
            "AWS::IoT::Certificate::Id": certificate["certificateId"],
        }
        made = iot.register_thing(templateBody=template["templateBody"], parameters=parameters)
        names.append(made["resourceArns"]["thing"].rsplit("/", 1)[1])
        (policy,) = iot.list_attached_policies(target=certificate["certificateArn"])["policies"]
        assert policy["policyName"] == "speak"
    return names


def start(cloud: Cloud, job_id: str, *targets: str, **arguments: Any) -> None:
    iot = cloud.client("iot")
    arns = [
        f"arn:aws:iot:us-east-1:123456789012:{'thinggroup' if each == 'boards' else 'thing'}/{each}"
        for each in targets
    ]
    if "document" not in arguments:
        arguments["jobTemplateArn"] = "arn:aws:iot:us-east-1:123456789012:jobtemplate/release-1"
    iot.create_job(jobId=job_id, targets=arns, **arguments)


def test_things_join_their_group(cloud: Cloud, fleet: list[str]) -> None:
    assert fleet == ["device-0", "device-1", "device-2", "device-3"]
    held = cloud.client("iot").list_things_in_thing_group(thingGroupName="boards")["things"]
    assert sorted(held) == fleet
    with pytest.raises(ClientError, match="SerialNumber"):
        cloud.client("iot").register_thing(templateBody=json.dumps(BODY), parameters={})


def test_a_job_from_a_template_reaches_a_device_and_ends(cloud: Cloud, fleet: list[str]) -> None:
    start(cloud, "one", fleet[0])
    data, iot = cloud.client("iot-jobs-data"), cloud.client("iot")
    assert data.start_next_pending_job_execution(thingName=fleet[1]).get("execution") is None
    queued = data.get_pending_job_executions(thingName=fleet[0])["queuedJobs"]
    assert [each["jobId"] for each in queued] == ["one"]
    begun = data.start_next_pending_job_execution(thingName=fleet[0])["execution"]
    assert json.loads(begun["jobDocument"]) == {"a": 1}
    # A device that lost its power asks again, and goes on with the same.
    again = data.start_next_pending_job_execution(thingName=fleet[0])["execution"]
    assert (again["jobId"], again["status"]) == ("one", "IN_PROGRESS")
    with pytest.raises(ClientError, match="VersionMismatch"):
        data.update_job_execution(
            jobId="one", thingName=fleet[0], status="SUCCEEDED", expectedVersion=77
        )
    changed = data.update_job_execution(
        jobId="one",
        thingName=fleet[0],
        status="SUCCEEDED",
        statusDetails={"step": "done"},
        expectedVersion=begun["versionNumber"],
        includeJobExecutionState=True,
    )
    assert changed["executionState"]["status"] == "SUCCEEDED"
    assert iot.describe_job(jobId="one")["job"]["status"] == "COMPLETED"
    seen = iot.describe_job_execution(jobId="one", thingName=fleet[0])["execution"]
    assert (seen["status"], seen["statusDetails"]["detailsMap"]) == ("SUCCEEDED", {"step": "done"})
    with pytest.raises(ClientError, match="SUCCEEDED already"):
        data.update_job_execution(jobId="one", thingName=fleet[0], status="FAILED")


def test_failures_abort_a_job_to_a_group(cloud: Cloud, fleet: list[str]) -> None:
    start(cloud, "two", "boards")
    data, iot = cloud.client("iot-jobs-data"), cloud.client("iot")
    for name in fleet[:2]:
        data.start_next_pending_job_execution(thingName=name)
        data.update_job_execution(jobId="two", thingName=name, status="FAILED")
    assert iot.describe_job(jobId="two")["job"]["status"] == "CANCELED"
    assert data.start_next_pending_job_execution(thingName=fleet[2]).get("execution") is None


def test_a_continuous_job_reaches_who_joins_later(cloud: Cloud, fleet: list[str]) -> None:
    start(cloud, "three", "boards", targetSelection="CONTINUOUS", document='{"b": 2}')
    iot, data = cloud.client("iot"), cloud.client("iot-jobs-data")
    iot.create_thing(thingName="late")
    assert data.describe_job_execution(thingName=fleet[3], jobId="$next")["execution"]
    assert data.start_next_pending_job_execution(thingName="late").get("execution") is None
    iot.add_thing_to_thing_group(thingGroupName="boards", thingName="late")
    found = data.describe_job_execution(thingName="late", jobId="$next")["execution"]
    assert json.loads(found["jobDocument"]) == {"b": 2}


def test_strangers_and_unknown_templates_are_refused(cloud: Cloud, fleet: list[str]) -> None:
    with pytest.raises(ClientError, match="No thing"):
        cloud.client("iot-jobs-data").get_pending_job_executions(thingName="stranger")
    with pytest.raises(ClientError, match="No job template"):
        cloud.client("iot").create_job(
            jobId="x", targets=["arn:aws:iot:us-east-1:1:thing/device-0"], jobTemplateArn="a/b"
        )


def test_the_agents_https_adapter(cloud: Cloud, fleet: list[str]) -> None:
    service = HttpsJobs(fleet[3], cloud.client("iot-jobs-data"), cloud.client("iot-data"))
    for job in service.jobs.get_pending_job_executions(thingName=fleet[3])["queuedJobs"]:
        service.update(job["jobId"], "REJECTED", {})
    assert service.next_job() is None
    start(cloud, "four", fleet[3], document='{"c": 3}')
    assert service.next_job() == Job("four", '{"c": 3}')
    service.update("four", "IN_PROGRESS", {"step": "testing"})
    service.update("four", "FAILED", {"reason": "3 dB"})
    for job_id in ("four", "never-was"):
        with pytest.raises(JobGoneError):
            service.update(job_id, "SUCCEEDED", {})
    state = DeviceState(
        agent_version="1",
        name="m",
        artifact_sha256="a" * 64,
        previous_sha256="b" * 64,
        execution_path="cpu",
        free_bytes=1,
        last_failure=None,
    )
    service.report(state)
    service.report(state.model_copy(update={"previous_sha256": None}))
    answer = service.data.get_thing_shadow(thingName=fleet[3], shadowName="nvfp4-ddim")
    held = json.loads(answer["payload"].read())["state"]["reported"]
    assert (held["artifact_sha256"], held.get("previous_sha256")) == ("a" * 64, None)
    with pytest.raises(JobServiceError):
        HttpsJobs("nobody", service.jobs, service.data).report(state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "none"}}},
         "no policy none"),
        ({"odd": {"Type": "AWS::S3::Bucket", "Properties": {}}}, "can't make"),
        ({"thing": {"Type": "AWS::IoT::Thing", "Properties": {"ThingName": {"Ref": "Who"}}}},
         "Who"),
        ({"thing": {"Type": "AWS::IoT::Thing", "Properties": {"Name": "x"}}}, "has no"),
    ],
)  # fmt: skip
def test_a_template_that_could_not_be_carried_out_fails_the_deployment(
    cloud: Cloud, fleet: list[str], changes: dict[str, Any], message: str
) -> None:
    body = {**BODY, "Resources": {**BODY["Resources"], **changes}}
    made = resources(body)
    only = {name: made[name] for name in ("Role", "Template")}
    del only["Template"]["DependsOn"]
    only["Template"]["Properties"]["TemplateName"] = "other"
    stack = f"bad-{abs(hash(message))}"
    assert cloud.create_stack(stack, only)["StackStatus"] == "ROLLBACK_COMPLETE"
    assert message in cloud.failure(stack)
