"""Devices: how they join, what they may do, and how releases reach them.

They fetch artifacts from the CDN, where they are public: a signed manifest protects them, so that
devices need no AWS credentials and no role alias.
"""

import aws_cdk as cdk
from aws_cdk import aws_iot as iot
from constructs import Construct

from infra.constructs.device_policies import ClaimPolicy, DevicePolicy
from infra.constructs.fleet_provisioning import FleetProvisioning
from infra.constructs.release_job import ReleaseJob
from infra.model_release import ModelRelease
from infra.stages import StageConfig
from nvfp4_ddim_contracts.edge import Capability, thing_group_name

from .storage import StorageStack

__all__ = ["EdgeStack"]


class EdgeStack(cdk.Stack):
    """Thing type and groups, provisioning by claim, and the job template of the release."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        storage: StorageStack,
        release: ModelRelease,
        env: cdk.Environment | None = None,
    ) -> None:
        """Define the stack."""
        super().__init__(scope, construct_id, env=env, description="nvfp4-ddim: devices")
        name = f"nvfp4-ddim-{config.name}"
        thing_type = iot.CfnThingType(
            self,
            "Device",
            # Provisioning names it inside a text, so that CloudFormation can't choose the name.
            thing_type_name=name,
            thing_type_properties={
                "ThingTypeDescription": f"Runs models of nvfp4-ddim, stage {config.name}",
                "SearchableAttributes": ["capability"],
            },
        )
        groups = [
            iot.CfnThingGroup(
                self,
                f"Group{capability.name.title().replace('_', '')}",
                thing_group_name=thing_group_name(config.name, capability),
                thing_group_properties={
                    "ThingGroupDescription": f"Devices that compute by {capability}"
                },
            )
            for capability in Capability
        ]
        provisioning = FleetProvisioning(
            self,
            "Provisioning",
            stage=config.name,
            template_name=name,
            thing_type=thing_type,
            device_policy=DevicePolicy(self, "DevicePolicy", name=f"{name}-device"),
            device_configuration={
                "cdn_url": storage.cdn.base_url,
                "model": release.live.name,
            },
        )
        for group in groups:
            provisioning.template.add_dependency(group)
        claim = ClaimPolicy(self, "ClaimPolicy", name=f"{name}-claim", template=name)
        job = ReleaseJob(self, "ReleaseJob", config=config, release=release)
        for output, value in {
            "ProvisioningTemplateName": provisioning.template.ref,
            "ClaimPolicyName": str(claim.policy_name),
            "ReleaseJobTemplateArn": job.attr_arn,
        }.items():
            cdk.CfnOutput(self, output, value=value)
