"""Types of AWS IoT that moto's CloudFormation lacks, or takes unchecked."""

import json
from typing import ClassVar

from botocore.exceptions import ClientError

from local.errors import ProvisioningError
from local.iot.provisioning import ProvisioningTemplate, TemplateRegistry, check_template
from local.settings import ACCOUNT_ID, REGION

from .adapter import ApiAdapter, Properties, Provisioned, ResourceAdapter, ResourceRequest
from .values import as_bool, lower_first, present

__all__ = ["iot_adapters"]

_ARN = f"arn:aws:iot:{REGION}:{ACCOUNT_ID}"
# What CloudFormation calls otherwise than the API.
_API_NAMES = {"exponentialRolloutRate": "exponentialRate", "retryCriteriaList": "criteriaList"}
_MAX_TEMPLATE_NAME = 36
_MAX_DOCUMENT = 32_768


class ThingGroup(ApiAdapter):
    """Static thing groups."""

    types: ClassVar = ("AWS::IoT::ThingGroup",)
    name_property: ClassVar = "ThingGroupName"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the group."""
        properties = request.properties
        if "QueryString" in properties:
            raise ProvisioningError("The local cloud has no dynamic thing groups.")
        made = self._client("iot").create_thing_group(
            thingGroupName=request.name,
            **present(parentGroupName=properties.get("ParentGroupName")),
            thingGroupProperties=_group_properties(properties),
        )
        return Provisioned(request.name, {"Arn": made["thingGroupArn"], "Id": made["thingGroupId"]})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change its description and attributes; its things stay."""
        if request.name != current.physical_id:
            return super().update(current, previous, request)
        self._client("iot").update_thing_group(
            thingGroupName=current.physical_id,
            thingGroupProperties=_group_properties(request.properties),
        )
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the group."""
        self._client("iot").delete_thing_group(thingGroupName=current.physical_id)


class JobTemplate(ApiAdapter):
    """Job templates; moto's own model loses what lies deeper than one level."""

    types: ClassVar = ("AWS::IoT::JobTemplate",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the template.

        Raises:
            ProvisioningError: Its document is no JSON, or too long.
        """
        properties = request.properties
        document = properties.get("Document", "")
        if len(document) > _MAX_DOCUMENT:
            raise ProvisioningError(f"A job document has at most {_MAX_DOCUMENT} characters.")
        try:
            json.loads(document)
        except ValueError as error:
            raise ProvisioningError(f"The job document is no JSON: {error}") from error
        name = properties["JobTemplateId"]
        made = self._client("iot").create_job_template(
            jobTemplateId=name,
            document=document,
            description=properties["Description"],
            **present(
                presignedUrlConfig=_camel(properties.get("PresignedUrlConfig")),
                jobExecutionsRolloutConfig=_camel(properties.get("JobExecutionsRolloutConfig")),
                abortConfig=_camel(properties.get("AbortConfig")),
                jobExecutionsRetryConfig=_camel(properties.get("JobExecutionsRetryConfig")),
                timeoutConfig=_camel(properties.get("TimeoutConfig")),
            ),
        )
        return Provisioned(name, {"Arn": made["jobTemplateArn"]})

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """All properties are fixed: the new one is made before the old one goes."""
        if request.properties["JobTemplateId"] == current.physical_id:
            raise ProvisioningError("A job template can't change: give the new one another id.")
        made = self.create(request)
        self.delete(current, previous)
        return made

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the template; jobs made from it go on."""
        client = self._client("iot")
        try:
            client.delete_job_template(jobTemplateId=current.physical_id)
        except client.exceptions.ResourceNotFoundException:
            return


class FleetTemplate(ApiAdapter):
    """Fleet provisioning templates, checked as far as AWS IoT checks them, and then carried out."""

    types: ClassVar = ("AWS::IoT::ProvisioningTemplate",)
    name_property: ClassVar = "TemplateName"

    def __init__(self, aws_url: str, registry: TemplateRegistry) -> None:
        super().__init__(aws_url)
        self._registry = registry

    def create(self, request: ResourceRequest) -> Provisioned:
        """Check and keep the template.

        Raises:
            ProvisioningError: AWS IoT would refuse it.
        """
        self._registry.templates[request.name] = self._checked(request)
        return Provisioned(
            request.name, {"TemplateArn": f"{_ARN}:provisioningtemplate/{request.name}"}
        )

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """A new version; one that is refused leaves the old one."""
        made = self.create(request)
        if request.name != current.physical_id:
            self.delete(current, previous)
        return made

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Forget the template; devices that used it stay."""
        self._registry.templates.pop(current.physical_id, None)

    def _checked(self, request: ResourceRequest) -> ProvisioningTemplate:
        properties, role = request.properties, request.properties["ProvisioningRoleArn"]
        if len(request.name) > _MAX_TEMPLATE_NAME:
            raise ProvisioningError(f"A template's name has at most {_MAX_TEMPLATE_NAME} letters.")
        try:
            found = self._client("iam").get_role(RoleName=role.rsplit("/", 1)[-1])["Role"]
        except ClientError as error:
            raise ProvisioningError(f"There is no role {role}.") from error
        if "iot.amazonaws.com" not in json.dumps(found["AssumeRolePolicyDocument"]):
            raise ProvisioningError(f"AWS IoT may not assume {role}.")
        check_template(properties["TemplateBody"])
        return ProvisioningTemplate(
            name=request.name,
            body=properties["TemplateBody"],
            role_arn=role,
            enabled=as_bool(properties.get("Enabled", False)),
            kind=properties.get("TemplateType", "FLEET_PROVISIONING"),
        )


def _group_properties(properties: Properties) -> Properties:
    given = properties.get("ThingGroupProperties", {})
    result = present(thingGroupDescription=given.get("ThingGroupDescription"))
    if "AttributePayload" in given:
        result["attributePayload"] = {"attributes": given["AttributePayload"].get("Attributes", {})}
    return result


def _camel(value: object) -> object:
    """Names with a small first letter at every level, and numbers that came as text."""
    if isinstance(value, list):
        return [_camel(each) for each in value]
    if isinstance(value, dict):
        return {
            _API_NAMES.get(name, name): _camel(each) for name, each in lower_first(value).items()
        }
    if isinstance(value, str) and value.replace(".", "", 1).isdecimal():
        return float(value) if "." in value else int(value)
    return value


def iot_adapters(aws_url: str, registry: TemplateRegistry) -> list[ResourceAdapter]:
    """All adapters of this file."""
    return [ThingGroup(aws_url), JobTemplate(aws_url), FleetTemplate(aws_url, registry)]
