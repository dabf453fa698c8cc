"""What devices may say and hear over MQTT.

Source: AWS IoT Core developer guide, "Thing policy variables", "Jobs MQTT topics", "Provisioning
devices that don't have device certificates using fleet provisioning".
"""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_iot as iot
from constructs import Construct

from nvfp4_ddim_contracts.edge import SHADOW_NAME

__all__ = ["ClaimPolicy", "DevicePolicy"]

_THING = "${iot:Connection.Thing.ThingName}"
# Requests by their topic below the thing; the answers come on <topic>/accepted and /rejected, asked
# for as such or as <topic>/+. In a policy "*" stands for any text, and "+" for itself alone.
_REQUESTS = (
    "jobs/start-next",
    "jobs/*/get",
    "jobs/*/update",
    f"shadow/name/{SHADOW_NAME}/get",
    f"shadow/name/{SHADOW_NAME}/update",
)


class DevicePolicy(iot.CfnPolicy):
    """A device as itself: its own jobs and its own shadow, and nobody else's."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str) -> None:
        """Define the policy."""
        arn = _Arns(cdk.Stack.of(scope))
        own = [f"$aws/things/{_THING}/{request}" for request in _REQUESTS]
        answers = [f"{each}/*" for each in own] + [f"$aws/things/{_THING}/jobs/notify-next"]
        super().__init__(
            scope,
            construct_id,
            policy_name=name,
            policy_document=_document(
                {
                    **_allow("iot:Connect", [arn.client(_THING)]),
                    # Without a certificate attached to a thing, the variable above is empty.
                    "Condition": {"Bool": {"iot:Connection.Thing.IsAttached": ["true"]}},
                },
                _allow("iot:Publish", [arn.topic(request) for request in own]),
                _allow("iot:Subscribe", [arn.filter(answer) for answer in answers]),
                _allow("iot:Receive", [arn.topic(answer) for answer in answers]),
            ),
        )


class ClaimPolicy(iot.CfnPolicy):
    """A new device with the certificate that all of a batch share: it may become a thing."""

    def __init__(self, scope: Construct, construct_id: str, *, name: str, template: str) -> None:
        """Define the policy.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            name: Of the policy.
            template: The provisioning template that it may use.
        """
        arn = _Arns(cdk.Stack.of(scope))
        topics = [
            "$aws/certificates/create-from-csr/json",
            f"$aws/provisioning-templates/{template}/provision/json",
        ]
        answers = [f"{topic}/{answer}" for topic in topics for answer in ("accepted", "rejected")]
        super().__init__(
            scope,
            construct_id,
            policy_name=name,
            policy_document=_document(
                _allow("iot:Connect", [arn.client(f"{template}-claim-*")]),
                _allow("iot:Publish", [arn.topic(topic) for topic in topics]),
                _allow("iot:Subscribe", [arn.filter(answer) for answer in answers]),
                _allow("iot:Receive", [arn.topic(answer) for answer in answers]),
            ),
        )


class _Arns:
    def __init__(self, stack: cdk.Stack) -> None:
        self._base = f"arn:{stack.partition}:iot:{stack.region}:{stack.account}"

    def client(self, client_id: str) -> str:
        return f"{self._base}:client/{client_id}"

    def topic(self, topic: str) -> str:
        return f"{self._base}:topic/{topic}"

    def filter(self, topic_filter: str) -> str:
        return f"{self._base}:topicfilter/{topic_filter}"


def _document(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(action: str, resources: list[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resources}
