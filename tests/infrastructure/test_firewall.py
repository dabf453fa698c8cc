"""AWS WAF before the API, where the stage asks for it."""

from typing import Any

import pytest

from infra.stages import stage_config
from lambdas.domain.validation import MAX_BODY_BYTES
from tests.infrastructure.assembly import Assembly


@pytest.fixture
def rules(guarded: Assembly) -> dict[str, Any]:
    acl = guarded.api.only("AWS::WAFv2::WebACL")
    assert acl["Scope"] == "REGIONAL"
    assert acl["DefaultAction"] == {"Allow": {}}
    assert len({rule["Priority"] for rule in acl["Rules"]}) == len(acl["Rules"])
    return {rule["Name"]: rule for rule in acl["Rules"]}


def test_it_is_on_in_production_and_off_where_people_try_things(assembly: Assembly) -> None:
    assert stage_config("prod").firewall
    assert not assembly.api.of_type("AWS::WAFv2::WebACL")


def test_rate_and_size_are_blocked(guarded: Assembly, rules: dict[str, Any]) -> None:
    rate = rules["Rate"]["Statement"]["RateBasedStatement"]
    assert rate == {"AggregateKeyType": "IP", "EvaluationWindowSec": 300, "Limit": 6_000}
    size = rules["BodySize"]["Statement"]["SizeConstraintStatement"]
    assert (size["ComparisonOperator"], size["Size"]) == ("GT", MAX_BODY_BYTES)
    assert size["FieldToMatch"] == {"Body": {"OversizeHandling": "MATCH"}}
    assert rules["Rate"]["Action"] == rules["BodySize"]["Action"] == {"Block": {}}
    inspected = guarded.api.only("AWS::WAFv2::WebACL")["AssociationConfig"]["RequestBody"]
    assert inspected == {"API_GATEWAY": {"DefaultSizeInspectionLimit": "KB_64"}}


def test_awss_own_rules_are_asked(rules: dict[str, Any]) -> None:
    managed = {
        rule["Statement"]["ManagedRuleGroupStatement"]["Name"]
        for rule in rules.values()
        if "ManagedRuleGroupStatement" in rule["Statement"]
    }
    assert managed == {"AWSManagedRulesCommonRuleSet", "AWSManagedRulesKnownBadInputsRuleSet"}


def test_it_stands_before_the_stage_and_logs_no_key(guarded: Assembly) -> None:
    association = guarded.api.only("AWS::WAFv2::WebACLAssociation")
    (stage_id,) = guarded.api.of_type("AWS::ApiGateway::Stage")
    assert {"Ref": stage_id} in association["ResourceArn"]["Fn::Join"][1]
    logging = guarded.api.only("AWS::WAFv2::LoggingConfiguration")
    redacted = {field["SingleHeader"]["Name"] for field in logging["RedactedFields"]}
    assert redacted == {"authorization", "x-api-key"}
    (destination,) = logging["LogDestinationConfigs"]
    assert not str(destination).endswith(":*")
    names = [
        group["Properties"].get("LogGroupName")
        for group in guarded.api.of_type("AWS::Logs::LogGroup").values()
    ]
    (name,) = (name for name in names if name)
    assert name["Fn::Join"][1][0].startswith("aws-waf-logs-")
    acl = guarded.api.only("AWS::WAFv2::WebACL")
    seen = [acl["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in acl["Rules"])]
    assert not any(each["SampledRequestsEnabled"] for each in seen)
