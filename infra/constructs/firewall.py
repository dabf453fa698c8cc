"""AWS WAF before the API: rate per address, size of bodies, and AWS's managed rules."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_logs as logs
from aws_cdk import aws_wafv2 as wafv2
from constructs import Construct

from infra.stages import Firewall, StageConfig
from lambdas.domain.validation import MAX_BODY_BYTES

from .python_function import log_retention

__all__ = ["ApiFirewall"]

_WINDOW_SECONDS = 300
_MANAGED = ("AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet")
# The common set's own bound on bodies is 8 KB, less than a long prompt with escapes; and a prompt
# may speak of anything, so that its text must not be taken for markup.
_BODY_RULES_COUNTED = ("SizeRestrictions_BODY", "CrossSiteScripting_BODY")
_REDACTED = ("authorization", "x-api-key")

_Rule = wafv2.CfnWebACL.RuleProperty


class ApiFirewall(Construct):
    """A regional web ACL on the API's stage, with its log."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        config: StageConfig,
        firewall: Firewall,
        stage: apigateway.Stage,
    ) -> None:
        """Define the web ACL.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            config: The stage of the service.
            firewall: What the stage wants of it.
            stage: The API's stage.
        """
        super().__init__(scope, construct_id)
        acl = wafv2.CfnWebACL(
            self,
            "WebAcl",
            scope="REGIONAL",
            default_action=wafv2.CfnWebACL.DefaultActionProperty(allow={}),
            visibility_config=_visibility("Api"),
            # Bodies are looked at up to this size; what is beyond counts as too large.
            association_config=wafv2.CfnWebACL.AssociationConfigProperty(
                request_body={
                    "API_GATEWAY": wafv2.CfnWebACL.RequestBodyAssociatedResourceTypeConfigProperty(
                        default_size_inspection_limit="KB_64"
                    )
                }
            ),
            rules=_rules(firewall),
        )
        wafv2.CfnWebACLAssociation(
            self, "Association", resource_arn=stage.stage_arn, web_acl_arn=acl.attr_arn
        )
        log_group = logs.LogGroup(
            self,
            "Log",
            # AWS WAF writes into no group whose name begins otherwise; the rest is the stack's own.
            log_group_name=f"aws-waf-logs-nvfp4-ddim-{cdk.Aws.STACK_NAME}",
            retention=log_retention(config.log_retention_days),
            removal_policy=cdk.RemovalPolicy.DESTROY,
        )
        wafv2.CfnLoggingConfiguration(
            self,
            "Logging",
            resource_arn=acl.attr_arn,
            log_destination_configs=[_without_wildcard(self, log_group)],
            redacted_fields=[
                wafv2.CfnLoggingConfiguration.FieldToMatchProperty(single_header={"Name": name})
                for name in _REDACTED
            ],
        )


def _rules(firewall: Firewall) -> Sequence[_Rule]:
    """In the order in which they are asked: what is cheap comes first."""
    block = wafv2.CfnWebACL.RuleActionProperty(block={})
    rate = wafv2.CfnWebACL.StatementProperty(
        rate_based_statement=wafv2.CfnWebACL.RateBasedStatementProperty(
            aggregate_key_type="IP",
            limit=firewall.requests_per_address,
            evaluation_window_sec=_WINDOW_SECONDS,
        )
    )
    size = wafv2.CfnWebACL.StatementProperty(
        size_constraint_statement=wafv2.CfnWebACL.SizeConstraintStatementProperty(
            field_to_match=wafv2.CfnWebACL.FieldToMatchProperty(
                body=wafv2.CfnWebACL.BodyProperty(oversize_handling="MATCH")
            ),
            comparison_operator="GT",
            size=MAX_BODY_BYTES,
            text_transformations=[
                wafv2.CfnWebACL.TextTransformationProperty(priority=0, type="NONE")
            ],
        )
    )
    own = [
        _Rule(
            name=name,
            priority=priority,
            action=block,
            statement=statement,
            visibility_config=_visibility(name),
        )
        for priority, (name, statement) in enumerate((("Rate", rate), ("BodySize", size)))
    ]
    return [*own, *(_managed(name, len(own) + n) for n, name in enumerate(_MANAGED))]


def _managed(name: str, priority: int) -> _Rule:
    count = wafv2.CfnWebACL.RuleActionProperty(count={})
    overrides = [
        wafv2.CfnWebACL.RuleActionOverrideProperty(name=rule, action_to_use=count)
        for rule in _BODY_RULES_COUNTED
    ]
    return _Rule(
        name=name,
        priority=priority,
        override_action=wafv2.CfnWebACL.OverrideActionProperty(none={}),
        statement=wafv2.CfnWebACL.StatementProperty(
            managed_rule_group_statement=wafv2.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=name,
                rule_action_overrides=overrides if "Common" in name else None,
            )
        ),
        visibility_config=_visibility(name),
    )


def _visibility(name: str) -> wafv2.CfnWebACL.VisibilityConfigProperty:
    # Sampled requests would show the keys that the log leaves out.
    return wafv2.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )


def _without_wildcard(scope: Construct, group: logs.LogGroup) -> str:
    """The group's ARN as AWS WAF wants it; CloudFormation's own ends in ":*"."""
    return cdk.Stack.of(scope).format_arn(
        service="logs",
        resource="log-group",
        resource_name=group.log_group_name,
        arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
    )
