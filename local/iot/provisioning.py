"""Fleet provisioning: templates that are checked when they are deployed, and carried out.

AWS IoT carries a template out when a device asks for it over MQTT, which the local cloud does not
speak; `RegisterThing` does the same over HTTP.

Source: AWS IoT Core developer guide, "Provisioning templates".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from moto.iot.models import iot_backends

from local.errors import IotRequestError, ProvisioningError
from local.settings import ACCOUNT_ID, REGION

__all__ = ["ProvisioningTemplate", "TemplateRegistry", "check_template", "register_thing"]

_SECTIONS = frozenset({"Parameters", "Resources", "Mappings", "DeviceConfiguration"})
_PROPERTIES = {
    "AWS::IoT::Thing": {
        "ThingName", "ThingTypeName", "ThingGroups", "AttributePayload", "BillingGroup",
    },
    "AWS::IoT::Certificate": {
        "CertificateId", "CertificateSigningRequest", "CertificatePem", "CACertificatePem",
        "Status", "ThingPrincipalType",
    },
    "AWS::IoT::Policy": {"PolicyName", "PolicyDocument"},
}  # fmt: skip
_MAX_BODY_CHARACTERS = 10_240


@dataclass(frozen=True)
class ProvisioningTemplate:
    """One deployed template."""

    name: str
    body: str
    role_arn: str
    enabled: bool
    kind: str


@dataclass
class TemplateRegistry:
    """The deployed templates by name."""

    templates: dict[str, ProvisioningTemplate] = field(default_factory=dict)

    def describe(self, name: str) -> dict[str, Any]:
        """As DescribeProvisioningTemplate answers.

        Raises:
            IotRequestError: There is none.
        """
        if name not in self.templates:
            raise IotRequestError(404, "ResourceNotFoundException", f"No template {name}.")
        template = self.templates[name]
        return {
            "templateName": name,
            "templateArn": f"arn:aws:iot:{REGION}:{ACCOUNT_ID}:provisioningtemplate/{name}",
            "templateBody": template.body,
            "provisioningRoleArn": template.role_arn,
            "enabled": template.enabled,
            "type": template.kind,
            "defaultVersionId": 1,
        }


def check_template(body: str) -> None:
    """Check a template's form, and that the policies and types that it names exist.

    Raises:
        ProvisioningError: AWS IoT would refuse it, or fail to carry it out.
    """
    if len(body) > _MAX_BODY_CHARACTERS:
        raise ProvisioningError(f"A template body has at most {_MAX_BODY_CHARACTERS} characters.")
    try:
        template = json.loads(body)
        parameters, resources = template["Parameters"], template["Resources"]
    except (ValueError, KeyError, TypeError) as error:
        raise ProvisioningError(f"The template body is no provisioning template: {error}") from None
    if unknown := template.keys() - _SECTIONS:
        raise ProvisioningError(f"A provisioning template has no section {sorted(unknown)}.")
    if undeclared := _references(resources) - parameters.keys():
        raise ProvisioningError(f"The template refers to {sorted(undeclared)}, no parameters.")
    for name, resource in resources.items():
        known = _PROPERTIES.get(resource["Type"])
        if known is None:
            raise ProvisioningError(f"{name}: a template can't make a {resource['Type']}.")
        if odd := resource["Properties"].keys() - known:
            raise ProvisioningError(f"{name}: {resource['Type']} has no {sorted(odd)}.")
        _check_named(name, resource)
    if not any(each["Type"] == "AWS::IoT::Certificate" for each in resources.values()):
        raise ProvisioningError("A fleet provisioning template needs a certificate.")


def register_thing(body: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Carry a template out.

    Args:
        body: The template.
        parameters: All that it declares; `AWS::IoT::Certificate::Id` names an existing one.

    Returns:
        As RegisterThing answers.

    Raises:
        IotRequestError: A parameter is missing, or something named does not exist.
    """
    template = json.loads(body)
    if missing := template["Parameters"].keys() - parameters.keys():
        raise IotRequestError(400, "InvalidRequestException", f"Give {sorted(missing)}.")
    backend = iot_backends[ACCOUNT_ID][REGION]
    resources = {
        each["Type"]: _evaluated(each["Properties"], parameters)
        for each in template["Resources"].values()
    }
    thing = resources["AWS::IoT::Thing"]
    certificate_id = resources["AWS::IoT::Certificate"]["CertificateId"]
    if certificate_id not in backend.certificates:
        raise IotRequestError(404, "ResourceNotFoundException", "No such certificate.")
    groups = [_group(backend, name) for name in thing.get("ThingGroups", [])]
    certificate = backend.certificates[certificate_id]
    certificate.status = resources["AWS::IoT::Certificate"]["Status"].upper()
    made = backend.create_thing(
        thing["ThingName"], thing["ThingTypeName"], {"attributes": thing["AttributePayload"]}
    )
    for group in groups:
        group.things[made.arn] = made
    backend.attach_policy(resources["AWS::IoT::Policy"]["PolicyName"], certificate.arn)
    backend.attach_thing_principal(made.thing_name, certificate.arn)
    return {
        "certificatePem": certificate.certificate_pem,
        "resourceArns": {"thing": made.arn, "certificate": certificate.arn},
    }


def _check_named(name: str, resource: dict[str, Any]) -> None:
    backend = iot_backends[ACCOUNT_ID][REGION]
    properties = resource["Properties"]
    policy, kind = properties.get("PolicyName"), properties.get("ThingTypeName")
    if isinstance(policy, str) and policy not in backend.policies:
        raise ProvisioningError(f"{name}: there is no policy {policy}.")
    types = {each.thing_type_name for each in backend.thing_types.values()}
    if isinstance(kind, str) and kind not in types:
        raise ProvisioningError(f"{name}: there is no thing type {kind}.")


def _group(backend: Any, name: str) -> Any:
    for group in backend.thing_groups.values():
        if group.thing_group_name == name:
            return group
    raise IotRequestError(404, "ResourceNotFoundException", f"No thing group {name}.")


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    if "Ref" in value:
        return {value["Ref"]}
    return set().union(*map(_references, value.values()))


def _evaluated(value: Any, parameters: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_evaluated(each, parameters) for each in value]
    if not isinstance(value, dict):
        return value
    if "Ref" in value:
        return parameters[value["Ref"]]
    if "Fn::Join" in value:
        separator, parts = value["Fn::Join"]
        return separator.join(_evaluated(parts, parameters))
    return {name: _evaluated(each, parameters) for name, each in value.items()}
