import json

import pytest
from cfnlint import api as cfnlint_api
from cfnlint import config as cfnlint_config

from tests.infrastructure.assembly import Assembly

NOT_WRONG = [
    "W3005",  # CDK writes dependencies that a reference implies already: redundant, not wrong.
    "W6001",  # An output that passes an import on is how CDK exports what came from elsewhere.
]
LARGEST_TEMPLATE = 1_000_000


@pytest.mark.parametrize("stage", ["assembly", "production"])
def test_cfn_lint_finds_nothing(stage: str, request: pytest.FixtureRequest) -> None:
    synthesised: Assembly = request.getfixturevalue(stage)
    for template in synthesised.templates:
        findings = cfnlint_api.lint(
            template.path.read_text(),
            config=cfnlint_config.ManualArgs(
                ignore_checks=NOT_WRONG, regions=["eu-west-1", "us-east-1"]
            ),
        )
        assert [str(finding) for finding in findings] == [], template.name


def test_templates_fit_cloudformation(assembly: Assembly) -> None:
    for template in assembly.templates:
        assert template.path.stat().st_size < LARGEST_TEMPLATE, template.name
        assert len(template.body["Resources"]) < 500, template.name


def test_statements_name_their_actions_and_resources(assembly: Assembly) -> None:
    """A bare `*` stands only for actions that AWS can't restrict to a resource."""
    unrestrictable = {
        "dynamodb:ListStreams",
        "ecr:GetAuthorizationToken",
        "logs:CreateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:DescribeLogGroups",
        "logs:DescribeResourcePolicies",
        "logs:GetLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:UpdateLogDelivery",
        "xray:GetSamplingRules",
        "xray:GetSamplingTargets",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
    for _, name, policy in assembly.all_of("AWS::IAM::Policy"):
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            actions = {actions} if isinstance(actions, str) else set(actions)
            assert not any(action == "*" or action.endswith(":*") for action in actions), name
            resources = statement["Resource"]
            resources = resources if isinstance(resources, list) else [resources]
            if "*" in resources:
                assert actions <= unrestrictable, name


def test_roles_carry_no_administrator(assembly: Assembly) -> None:
    for _, name, role in assembly.all_of("AWS::IAM::Role"):
        text = json.dumps(role["Properties"].get("ManagedPolicyArns", []))
        assert "FullAccess" not in text, name
        assert "Administrator" not in text, name


def test_every_queue_is_encrypted_and_dead_letters_wait_two_weeks(assembly: Assembly) -> None:
    for _, name, queue in assembly.all_of("AWS::SQS::Queue"):
        properties = queue["Properties"]
        assert properties["KmsMasterKeyId"], name
        if "RedrivePolicy" not in properties:
            assert properties["MessageRetentionPeriod"] == 14 * 86_400, name


def test_functions_are_alike(assembly: Assembly) -> None:
    keys = set()
    for _, name, function in assembly.all_of("AWS::Lambda::Function"):
        properties = function["Properties"]
        assert properties["Runtime"] == "python3.13", name
        assert properties["Architectures"] == ["arm64"], name
        assert properties["Timeout"] > 3, name
        assert properties["TracingConfig"] == {"Mode": "Active"}, name
        assert "LogGroup" in properties["LoggingConfig"], name
        keys.add(properties["Code"]["S3Key"])
    assert len(keys) == 1


def test_logs_end(assembly: Assembly) -> None:
    for _, name, group in assembly.all_of("AWS::Logs::LogGroup"):
        assert group["Properties"]["RetentionInDays"] == 14, name


@pytest.mark.parametrize("secret", ["BEGIN PRIVATE KEY", "BEGIN RSA PRIVATE KEY", "AKIA"])
def test_templates_hold_no_secret(assembly: Assembly, secret: str) -> None:
    for template in assembly.templates:
        assert secret not in template.path.read_text(), template.name
