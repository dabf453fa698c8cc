"""The network without a way out."""

import json
from dataclasses import replace

import pytest

from infra.constructs.private_network import OUTSIDE
from infra.errors import LaneOptionError
from infra.lane_options import Lanes, ServerlessLane
from infra.stages import stage_config
from tests.infrastructure.assembly import Assembly


def test_no_stage_has_it_unless_asked(assembly: Assembly) -> None:
    assert not any(stage_config(name).private_network for name in ("dev", "prod", "local"))
    assert not assembly.storage.of_type("AWS::EC2::VPC")


@pytest.mark.parametrize("kind", ["NatGateway", "InternetGateway", "EIP"])
def test_there_is_no_way_out(guarded: Assembly, kind: str) -> None:
    assert not list(guarded.all_of(f"AWS::EC2::{kind}"))


def test_subnets_have_routes_of_their_endpoints_only(guarded: Assembly) -> None:
    subnets = guarded.storage.of_type("AWS::EC2::Subnet").values()
    assert len(subnets) == 2
    assert not any(subnet["Properties"]["MapPublicIpOnLaunch"] for subnet in subnets)
    assert not guarded.storage.of_type("AWS::EC2::Route")


def test_the_services_that_are_called_have_endpoints(guarded: Assembly) -> None:
    endpoints = [
        endpoint["Properties"]
        for endpoint in guarded.storage.of_type("AWS::EC2::VPCEndpoint").values()
    ]
    names = {
        json.dumps(each["ServiceName"]).rstrip('"]}').rsplit(".", 1)[-1]: each["VpcEndpointType"]
        for each in endpoints
    }
    assert {name for name, kind in names.items() if kind == "Gateway"} == {"s3", "dynamodb"}
    assert len(names) == 9
    for name in ("runtime", "states", "sqs", "sns", "secretsmanager", "kms", "logs"):
        assert names[name] == "Interface", names
    assert all(each["PrivateDnsEnabled"] for each in endpoints if "SubnetIds" in each)


def test_endpoints_listen_to_the_inside_alone(guarded: Assembly) -> None:
    ingress = [
        rule["Properties"]
        for rule in guarded.storage.of_type("AWS::EC2::SecurityGroupIngress").values()
    ]
    assert len(ingress) == 7
    for rule in ingress:
        assert (rule["FromPort"], rule["ToPort"]) == (443, 443)
        assert "Inside" in json.dumps(rule["SourceSecurityGroupId"])
    for group in guarded.storage.of_type("AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group["Properties"]


def test_what_handles_data_is_inside_and_the_rest_says_why_not(guarded: Assembly) -> None:
    inside, outside = set(), set()
    for template, _, function in guarded.all_of("AWS::Lambda::Function"):
        properties = function["Properties"]
        handler = properties["Handler"].split(".")[-2]
        (inside if "VpcConfig" in properties else outside).add(handler)
        if "VpcConfig" in properties:
            assert len(properties["VpcConfig"]["SubnetIds"]) == 2
            role = properties["Role"]["Fn::GetAtt"][0]
            policies = json.dumps(
                [
                    policy
                    for policy in template.of_type("AWS::IAM::Policy").values()
                    if {"Ref": role} in policy["Properties"]["Roles"]
                ]
            )
            assert "ec2:CreateNetworkInterface" in policies, handler
    assert outside == set(OUTSIDE)
    assert {"create_job", "get_job", "dispatch_job", "record_result", "announce_job"} <= inside


def test_containers_are_inside(guarded: Assembly) -> None:
    models = guarded.inference.of_type("AWS::SageMaker::Model")
    assert models
    for model in models.values():
        network = model["Properties"]["VpcConfig"]
        assert len(network["Subnets"]) == 2
        assert len(network["SecurityGroupIds"]) == 1
    assert "ec2:CreateNetworkInterfacePermission" in json.dumps(
        guarded.inference.of_type("AWS::IAM::Policy")
    )


def test_what_was_refused_is_logged(guarded: Assembly) -> None:
    assert guarded.storage.only("AWS::EC2::FlowLog")["TrafficType"] == "REJECT"


def test_other_lanes_do_not_fit_into_it() -> None:
    lanes = Lanes(serverless=ServerlessLane())
    with pytest.raises(LaneOptionError, match="leave the others out"):
        replace(stage_config("prod"), private_network=True, lanes=lanes)
