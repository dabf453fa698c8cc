"""What the tests of the local cloud share."""

import json
import socket
from typing import Any

from local.clients import local_client
from local.settings import LocalSettings

__all__ = ["Cloud", "free_port_base"]


def free_port_base() -> int:
    """The first of ten free ports in a row."""
    for base in range(20_000, 60_000, 10):
        sockets = []
        try:
            for port in range(base, base + 10):
                each = socket.socket()
                sockets.append(each)
                each.bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for each in sockets:
                each.close()
        return base
    raise RuntimeError("no free ports")


class Cloud:
    """A running cloud and shortcuts to it."""

    def __init__(self, settings: LocalSettings, pid: int) -> None:
        self.settings = settings
        self.pid = pid

    def client(self, service: str) -> Any:
        return local_client(service, self.settings.aws_url)

    def create_stack(self, name: str, resources: dict[str, Any], outputs: Any = None) -> Any:
        template = {
            "Resources": resources,
            "Outputs": {key: {"Value": value} for key, value in (outputs or {}).items()},
        }
        cloudformation = self.client("cloudformation")
        cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=f"{name}-1",
            ChangeSetType="CREATE",
            TemplateBody=json.dumps(template),
        )
        cloudformation.execute_change_set(StackName=name, ChangeSetName=f"{name}-1")
        return self.describe(name)

    def update_stack(self, name: str, resources: dict[str, Any], change_set: str) -> Any:
        cloudformation = self.client("cloudformation")
        cloudformation.create_change_set(
            StackName=name,
            ChangeSetName=change_set,
            ChangeSetType="UPDATE",
            TemplateBody=json.dumps({"Resources": resources}),
        )
        cloudformation.execute_change_set(StackName=name, ChangeSetName=change_set)
        return self.describe(name)

    def describe(self, name: str) -> Any:
        return self.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]

    def outputs(self, name: str) -> dict[str, str]:
        found = self.describe(name).get("Outputs", [])
        return {output["OutputKey"]: output["OutputValue"] for output in found}

    def failure(self, name: str) -> str:
        events = self.client("cloudformation").describe_stack_events(StackName=name)
        return " ".join(
            event.get("ResourceStatusReason", "")
            for event in events["StackEvents"]
            if event["ResourceStatus"].endswith("FAILED")
        )
