"""AWS WAF's web ACLs; `local.api_front.firewall` enforces rate and size."""

from typing import Any, ClassVar

from local.errors import ProvisioningError

from .adapter import ApiAdapter, Properties, Provisioned, ResourceAdapter, ResourceRequest

__all__ = ["waf_adapters"]

_STATEMENTS = {
    "ManagedRuleGroupStatement", "RateBasedStatement", "SizeConstraintStatement"
}  # fmt: skip
_MANAGED_GROUPS = {
    "AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"
}  # fmt: skip
_LOG_PREFIX = "aws-waf-logs-"


class _Waf(ApiAdapter):
    @property
    def _api(self) -> Any:
        return self._client("wafv2")


class WebAcl(_Waf):
    """Web ACLs of regional resources."""

    types: ClassVar = ("AWS::WAFv2::WebACL",)
    name_property: ClassVar = "Name"

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the web ACL; botocore refuses a name or a type that AWS WAF lacks."""
        properties = {name: value for name, value in request.properties.items() if name != "Name"}
        _check(properties)
        made = self._api.create_web_acl(Name=request.name, **properties)["Summary"]
        return Provisioned(
            f"{request.name}|{made['Id']}|{properties['Scope']}",
            {
                "Arn": made["ARN"],
                "Id": made["Id"],
                "LabelNamespace": f"awswaf:webacl:{request.name}:",
            },
        )

    def update(
        self, current: Provisioned, previous: ResourceRequest, request: ResourceRequest
    ) -> Provisioned:
        """Change the rules in place: associations name the ARN."""
        if previous.properties["Scope"] != request.properties["Scope"]:
            raise ProvisioningError("Scope of a web ACL can't be changed.")
        _check(request.properties)
        changes = {
            name: value
            for name, value in request.properties.items()
            if name not in {"Name", "Tags"}
        }
        name, acl_id, _ = current.physical_id.split("|")
        self._api.update_web_acl(Name=name, Id=acl_id, LockToken=self._lock(current), **changes)
        return current

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the web ACL."""
        name, acl_id, scope = current.physical_id.split("|")
        self._api.delete_web_acl(Name=name, Id=acl_id, Scope=scope, LockToken=self._lock(current))

    def _lock(self, current: Provisioned) -> str:
        name, acl_id, scope = current.physical_id.split("|")
        return str(self._api.get_web_acl(Name=name, Id=acl_id, Scope=scope)["LockToken"])


def _check(properties: Properties) -> None:
    """Refuse what AWS WAF would, and what would not be enforced here.

    Raises:
        ProvisioningError: A scope, statement, rule group or limit is not one of those known here.
    """
    if properties["Scope"] != "REGIONAL":
        raise ProvisioningError("Web ACLs of CloudFront are not provided locally.")
    rules = properties.get("Rules", [])
    if len({rule["Priority"] for rule in rules}) != len(rules):
        raise ProvisioningError("Two rules of the web ACL have the same priority.")
    for rule in rules:
        (kind,) = rule["Statement"]
        statement = rule["Statement"][kind]
        if kind not in _STATEMENTS:
            raise ProvisioningError(f"{kind} of rule {rule['Name']} is not provided locally.")
        is_group = kind == "ManagedRuleGroupStatement"
        if ("OverrideAction" in rule) != is_group or ("Action" in rule) == is_group:
            raise ProvisioningError(
                f"Rule {rule['Name']}: a rule group has an OverrideAction, another rule an Action."
            )
        if is_group and statement["Name"] not in _MANAGED_GROUPS:
            raise ProvisioningError(f"The rule group {statement['Name']} is not known locally.")
        if kind == "RateBasedStatement":
            _check_rate(rule["Name"], statement)


def _check_rate(rule: str, statement: Properties) -> None:
    if statement["AggregateKeyType"] != "IP" or "ScopeDownStatement" in statement:
        raise ProvisioningError(f"Rule {rule}: only plain rates per IP are provided locally.")
    if not 10 <= int(statement["Limit"]) <= 2_000_000_000:
        raise ProvisioningError(f"Rule {rule}: a rate limit is from 10 to 2,000,000,000.")
    if int(statement.get("EvaluationWindowSec", 300)) not in {60, 120, 300, 600}:
        raise ProvisioningError(f"Rule {rule}: a window is 60, 120, 300 or 600 seconds.")


class WebAclAssociation(_Waf):
    """Which resource a web ACL stands before."""

    types: ClassVar = ("AWS::WAFv2::WebACLAssociation",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Associate."""
        acl, resource = request.properties["WebACLArn"], request.properties["ResourceArn"]
        self._api.associate_web_acl(WebACLArn=acl, ResourceArn=resource)
        return Provisioned(f"{acl}|{resource}")

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Disassociate."""
        self._api.disassociate_web_acl(ResourceArn=request.properties["ResourceArn"])


class LoggingConfiguration(_Waf):
    """Where a web ACL logs; the local cloud writes no such log."""

    types: ClassVar = ("AWS::WAFv2::LoggingConfiguration",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Put the configuration.

        Raises:
            ProvisioningError: AWS WAF would refuse the destination.
        """
        (destination,) = request.properties["LogDestinationConfigs"]
        name = str(destination).split(":")[-1]
        if not name.startswith(_LOG_PREFIX):
            raise ProvisioningError(f"AWS WAF logs only to names that begin with {_LOG_PREFIX}.")
        self._api.put_logging_configuration(LoggingConfiguration=request.properties)
        return Provisioned(request.properties["ResourceArn"])

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the configuration."""
        self._api.delete_logging_configuration(ResourceArn=current.physical_id)


def waf_adapters(aws_url: str) -> list[ResourceAdapter]:
    """All adapters of this file."""
    return [WebAcl(aws_url), WebAclAssociation(aws_url), LoggingConfiguration(aws_url)]
