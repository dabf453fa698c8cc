"""A network without a way out, for what handles callers' data."""

from collections.abc import Iterable, Mapping

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.nag import accept_finding
from infra.stages import StageConfig

from .python_function import log_retention

__all__ = ["OUTSIDE", "PrivateNetwork"]

# Handlers that stay outside, each with what it needs there.
OUTSIDE: Mapping[str, str] = {
    "authorize": "fetches the user pool's public keys, and sees no caller's data",
    "deliver_webhook": "calls addresses on the public internet, which callers name",
    "publish_files": "answers to CloudFormation, at deployment only",
    "signing_key": "answers to CloudFormation, at deployment only",
    "stop_spending": "takes machines away by Application Auto Scaling, and sees no caller's data",
}
_ZONES = 2
_HTTPS = ec2.Port.tcp(443)
_INTERFACES = {
    # execute-api is not among them: it leads to private APIs only, and with it in the network its
    # name would hide this one.
    "SageMakerRuntime": ec2.InterfaceVpcEndpointAwsService.SAGEMAKER_RUNTIME,
    "StateMachines": ec2.InterfaceVpcEndpointAwsService.STEP_FUNCTIONS,
    "Queues": ec2.InterfaceVpcEndpointAwsService.SQS,
    "Topics": ec2.InterfaceVpcEndpointAwsService.SNS,
    "Secrets": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "Keys": ec2.InterfaceVpcEndpointAwsService.KMS,
    "Logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
}
_INTERFACE_RIGHTS = (
    "CreateNetworkInterface",
    "DeleteNetworkInterface",
    "DescribeNetworkInterfaces",
    "DescribeSubnets",
)
_FUNCTION_RIGHTS = (*_INTERFACE_RIGHTS, "AssignPrivateIpAddresses", "UnassignPrivateIpAddresses")
_MODEL_RIGHTS = (
    *_INTERFACE_RIGHTS,
    "CreateNetworkInterfacePermission",
    "DeleteNetworkInterfacePermission",
    "DescribeDhcpOptions",
    "DescribeSecurityGroups",
    "DescribeVpcs",
)


class PrivateNetwork(Construct):
    """Isolated subnets in two zones, with endpoints for the AWS services that are called.

    There is no NAT and no internet gateway: what runs here reaches these services and nothing else.

    Attributes:
        vpc: The network.
        group: Security group of everything that runs here.
    """

    def __init__(self, scope: Construct, construct_id: str, *, config: StageConfig) -> None:
        """Define the network."""
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=_ZONES,
            nat_gateways=0,
            # Emptying it needs a function of CDK's own; nothing here uses the default group.
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="Isolated", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=24
                )
            ],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDB": ec2.GatewayVpcEndpointOptions(
                    service=ec2.GatewayVpcEndpointAwsService.DYNAMODB
                ),
            },
        )
        self.vpc.add_flow_log(
            "FlowLog",
            destination=ec2.FlowLogDestination.to_cloud_watch_logs(
                logs.LogGroup(
                    self,
                    "FlowLogs",
                    retention=log_retention(config.log_retention_days),
                    removal_policy=cdk.RemovalPolicy.DESTROY,
                )
            ),
            traffic_type=ec2.FlowLogTrafficType.REJECT,
        )
        self.group = ec2.SecurityGroup(
            self,
            "Inside",
            vpc=self.vpc,
            description="Functions and inference containers",
            allow_all_outbound=False,
        )
        # The gateway endpoints of S3 and DynamoDB have public addresses, and no route leads to
        # any others.
        self.group.add_egress_rule(ec2.Peer.any_ipv4(), _HTTPS, "AWS services by their endpoints")
        for name, service in _INTERFACES.items():
            endpoint = self.vpc.add_interface_endpoint(
                name, service=service, open=False, private_dns_enabled=True
            )
            endpoint.connections.allow_from(self.group, _HTTPS, "From inside")

    def enclose_functions(self, stack: cdk.Stack) -> None:
        """Move every function of a stack here, except those of `OUTSIDE`.

        Args:
            stack: Complete; a function that is added later stays outside.
        """
        for child in stack.node.find_all():
            if isinstance(child, lambda_.CfnFunction) and _handler(child) not in OUTSIDE:
                child.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
                    subnet_ids=self._subnet_ids(), security_group_ids=[self.group.security_group_id]
                )
                function = child.node.scope
                if isinstance(function, lambda_.Function) and function.role is not None:
                    _allow_interfaces(function.role, _FUNCTION_RIGHTS)

    def enclose_models(self, models: Iterable[sagemaker.CfnModel], role: iam.IRole) -> None:
        """Move the containers of models here.

        Args:
            models: The models.
            role: Their execution role.
        """
        for model in models:
            model.vpc_config = sagemaker.CfnModel.VpcConfigProperty(
                subnets=self._subnet_ids(), security_group_ids=[self.group.security_group_id]
            )
        _allow_interfaces(role, _MODEL_RIGHTS)

    def _subnet_ids(self) -> list[str]:
        return [subnet.subnet_id for subnet in self.vpc.isolated_subnets]


def _handler(function: lambda_.CfnFunction) -> str:
    """`x` of `lambdas.handlers.x.handler`."""
    return (function.handler or "").split(".")[-2:][0]


def _allow_interfaces(role: iam.IRole, rights: tuple[str, ...]) -> None:
    role.add_to_principal_policy(
        iam.PolicyStatement(actions=[f"ec2:{right}" for right in rights], resources=["*"])
    )
    accept_finding(
        role,
        "Network interfaces are made by AWS on the role's behalf, under ids not known beforehand; "
        "EC2's Describe actions know no resource.",
        "IAM5[Resource::*]",
    )
