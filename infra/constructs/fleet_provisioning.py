"""How a device becomes a thing of this stage: fleet provisioning by claim.

Source: AWS IoT Core developer guide, "Provisioning templates" and "Provisioning devices that don't
have device certificates using fleet provisioning".
"""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_iot as iot
from constructs import Construct

from infra.nag import accept_finding, spelled
from nvfp4_ddim_contracts.edge import Capability, thing_group_name, thing_name

from .grants import allow

__all__ = ["FleetProvisioning"]


class FleetProvisioning(Construct):
    """The template, and the role in which AWS IoT carries it out.

    Attributes:
        template: The provisioning template.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        template_name: str,
        thing_type: iot.CfnThingType,
        device_policy: iot.CfnPolicy,
        device_configuration: dict[str, str],
    ) -> None:
        """Define both.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            stage: Name of the stage.
            template_name: At most 36 characters.
            thing_type: Type of the things made.
            device_policy: Attached to each device's own certificate.
            device_configuration: Handed to a device once it is a thing.
        """
        super().__init__(scope, construct_id)
        role = _role(self, stage, str(device_policy.policy_name))
        body = _template_body(
            stage, str(thing_type.thing_type_name), str(device_policy.policy_name)
        )
        self.template = iot.CfnProvisioningTemplate(
            self,
            "Template",
            template_name=template_name,
            template_type="FLEET_PROVISIONING",
            description=f"Devices of nvfp4-ddim, stage {stage}",
            enabled=True,
            provisioning_role_arn=role.role_arn,
            template_body=cdk.Stack.of(self).to_json_string(
                {**body, "DeviceConfiguration": device_configuration}
            ),
        )
        # Named in the body only, where CloudFormation does not look.
        self.template.add_dependency(thing_type)
        self.template.add_dependency(device_policy)
        self.template.node.add_dependency(role)


def _template_body(stage: str, thing_type: str, policy: str) -> dict[str, Any]:
    return {
        "Parameters": {
            "SerialNumber": {"Type": "String"},
            "Capability": {"Type": "String"},
            "AWS::IoT::Certificate::Id": {"Type": "String"},
        },
        "Resources": {
            "thing": {
                "Type": "AWS::IoT::Thing",
                "Properties": {
                    "ThingName": _joined(thing_name(stage, ""), "SerialNumber"),
                    "ThingTypeName": thing_type,
                    "ThingGroups": [_joined(_group_prefix(stage), "Capability")],
                    "AttributePayload": {"capability": {"Ref": "Capability"}},
                },
                # A device that is set up anew stays the thing it was.
                "OverrideSettings": {
                    "AttributePayload": "MERGE",
                    "ThingTypeName": "DO_NOTHING",
                    "ThingGroups": "DO_NOTHING",
                },
            },
            "certificate": {
                "Type": "AWS::IoT::Certificate",
                "Properties": {
                    "CertificateId": {"Ref": "AWS::IoT::Certificate::Id"},
                    "Status": "Active",
                },
            },
            "policy": {"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": policy}},
        },
    }


def _group_prefix(stage: str) -> str:
    return thing_group_name(stage, Capability.GPU).removesuffix(Capability.GPU)


def _joined(prefix: str, parameter: str) -> dict[str, Any]:
    return {"Fn::Join": ["", [prefix, {"Ref": parameter}]]}


def _role(scope: Construct, stage: str, policy_name: str) -> iam.Role:
    stack = cdk.Stack.of(scope)
    role = iam.Role(
        scope,
        "Role",
        assumed_by=iam.ServicePrincipal("iot.amazonaws.com"),
        description="AWS IoT provisions devices in it.",
    )
    base = f"arn:{stack.partition}:iot:{stack.region}:{stack.account}"
    things, groups = f"thing/{thing_name(stage, '*')}", f"thinggroup/{_group_prefix(stage)}*"
    allow(role, ["iot:CreateThing", "iot:DescribeThing", "iot:UpdateThing",
                 "iot:ListThingGroupsForThing"], [f"{base}:{things}"])  # fmt: skip
    allow(role, ["iot:AddThingToThingGroup", "iot:DescribeThingGroup"],
          [f"{base}:{things}", f"{base}:{groups}"])  # fmt: skip
    certificates = f"{base}:cert/*"
    allow(role, ["iot:DescribeCertificate", "iot:UpdateCertificate",
                 "iot:AttachThingPrincipal"], [certificates, f"{base}:{things}"])  # fmt: skip
    allow(role, ["iot:AttachPolicy", "iot:GetPolicy"],
          [certificates, f"{base}:policy/{policy_name}"])  # fmt: skip
    where = (
        f"arn:{spelled(scope, stack.partition)}:iot:"
        f"{spelled(scope, stack.region)}:{spelled(scope, stack.account)}"
    )
    accept_finding(
        role,
        "Devices and their certificates are not known before they provision themselves.",
        *(f"IAM5[Resource::{where}:{each}]" for each in (things, groups, "cert/*")),
    )
    return role
