import json
import re
from typing import Any

import pytest

from infra.runbook import RUNBOOK, anchor
from tests.infrastructure.assembly import REPOSITORY, Assembly, Resource

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_LINK = re.compile(re.escape(RUNBOOK) + r"#([a-z-]+)$")


@pytest.fixture(scope="module")
def anchors() -> list[str]:
    """The runbook's entries, as GitHub makes anchors of headings."""
    text = (REPOSITORY / RUNBOOK).read_text()
    return [heading.lower().replace(" ", "-") for heading in _HEADING.findall(text)]


def _alarms(assembly: Assembly) -> dict[str, Resource]:
    return {
        name: alarm["Properties"]
        for kind in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm")
        for _, name, alarm in assembly.all_of(kind)
    }


def test_every_alarm_has_an_entry_in_the_runbook_and_every_entry_an_alarm(
    every_lane: Assembly, anchors: list[str]
) -> None:
    linked = set()
    for name, alarm in _alarms(every_lane).items():
        link = _LINK.search(alarm["AlarmDescription"])
        assert link, f"{name} does not say where to read on"
        linked.add(link.group(1))
    assert linked == set(anchors)
    assert len(anchors) == len(set(anchors))


def test_every_entry_says_what_it_means_where_to_look_and_what_to_do(anchors: list[str]) -> None:
    text = (REPOSITORY / RUNBOOK).read_text()
    entries = re.split(r"^## .+$", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(anchors)
    for name, entry in zip(anchors, entries, strict=True):
        for part in ("**Means:**", "**Look at:**", "**Do:**"):
            assert part in entry, (name, part)
    for target in re.findall(r"\]\(#([a-z-]+)\)", text):
        assert target in anchors


@pytest.mark.parametrize(
    ("alarm", "expected"),
    [("OldestRequest", "oldest-request"), ("DeadLetters", "dead-letters"), ("Api5", "api5")],
)
def test_anchors_are_made_of_names(alarm: str, expected: str) -> None:
    assert anchor(alarm) == expected


def test_every_lane_has_an_alarm_on_what_waits_for_it(every_lane: Assembly) -> None:
    waiting = {
        name: alarm
        for name, alarm in _alarms(every_lane).items()
        if alarm.get("MetricName") == "AsyncEventAge"
    }
    assert len(waiting) == len({json.dumps(a["Dimensions"]) for a in waiting.values()}) == 3
    assert {alarm["Threshold"] for alarm in waiting.values()} == {20 * 60 * 1000}


def test_every_dead_letter_queue_has_an_alarm(assembly: Assembly) -> None:
    def exported(template: Any, name: str) -> dict[str, Any]:
        return {
            output["Export"]["Name"]: output["Value"]["Fn::GetAtt"][0]
            for output in template.body["Outputs"].values()
            if "Export" in output and "Fn::GetAtt" in output["Value"]
        }

    queues = {}
    for template, name, queue in assembly.all_of("AWS::SQS::Queue"):
        if "RedrivePolicy" not in queue["Properties"]:
            queues[template.name, name] = queue
    exports = {
        export: (template.name, logical_id)
        for template in (
            assembly.inference,
            assembly.batch,
            assembly.quantization,
            assembly.api,
        )
        for export, logical_id in exported(template, "").items()
    }
    watched = {
        exports[dimension["Value"]["Fn::ImportValue"]]
        for alarm in _alarms(assembly).values()
        for dimension in alarm.get("Dimensions", [])
        if dimension["Name"] == "QueueName"
    }
    assert watched == set(queues)


def test_alarms_tell_somebody(assembly: Assembly) -> None:
    for name, alarm in _alarms(assembly).items():
        assert alarm["AlarmActions"], name


def test_the_composite_alarm_follows_every_alarm_that_tells_people(assembly: Assembly) -> None:
    rule = json.dumps(assembly.observability.only("AWS::CloudWatch::CompositeAlarm")["AlarmRule"])
    names = assembly.observability.of_type("AWS::CloudWatch::Alarm")
    assert names
    for name in names:
        assert name in rule


def test_the_queues_metrics_carry_the_endpoints_name_alone(assembly: Assembly) -> None:
    seen = set()
    for alarm in _alarms(assembly).values():
        metric = alarm.get("MetricName", "")
        if metric.startswith(("Approximate", "HasBacklog")) and "SageMaker" in alarm["Namespace"]:
            assert [each["Name"] for each in alarm["Dimensions"]] == ["EndpointName"]
            seen.add(metric)
    assert seen == {"ApproximateAgeOfOldestRequest", "HasBacklogWithoutCapacity"}


def test_the_budget_counts_this_stage_alone_and_stops_it_when_spent(assembly: Assembly) -> None:
    properties = assembly.observability.only("AWS::Budgets::Budget")
    budget = properties["Budget"]
    assert budget["BudgetLimit"] == {"Amount": 50, "Unit": "USD"}
    tags = {
        part["Tags"]["Key"]: part["Tags"]["Values"] for part in budget["FilterExpression"]["And"]
    }
    assert tags == {"service": ["nvfp4-ddim"], "stage": ["dev"]}
    told = {
        each["Notification"]["Threshold"]: json.dumps(each["Subscribers"])
        for each in properties["NotificationsWithSubscribers"]
    }
    assert set(told) == {50, 80, 100}
    (alarms,) = (
        name
        for name in assembly.observability.of_type("AWS::SNS::Topic")
        if name.startswith("Alarms")
    )
    assert alarms in told[50]
    assert alarms in told[80]
    assert "SpendingStop" in told[100]


def test_only_this_accounts_budgets_may_publish(assembly: Assembly) -> None:
    statements = [
        statement
        for _, _, policy in assembly.all_of("AWS::SNS::TopicPolicy")
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
        and statement["Principal"].get("Service") == "budgets.amazonaws.com"
    ]
    assert len(statements) == 2
    for statement in statements:
        conditions = statement["Condition"]
        assert conditions["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}
        assert "budget/*" in json.dumps(conditions["ArnLike"]["aws:SourceArn"])


def test_the_stop_may_touch_its_flag_and_the_endpoint_alone(assembly: Assembly) -> None:
    (policy,) = (
        policy["Properties"]["PolicyDocument"]["Statement"]
        for _, name, policy in assembly.all_of("AWS::IAM::Policy")
        if name.startswith("SpendingStop")
    )
    by_action = {}
    for statement in policy:
        actions = statement["Action"]
        for action in [actions] if isinstance(actions, str) else actions:
            by_action[action] = statement
    table = by_action["dynamodb:PutItem"]
    assert table["Condition"] == {
        "ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["service#stop"]}
    }
    assert "dynamodb:UpdateItem" not in by_action
    scaling = by_action["application-autoscaling:RegisterScalableTarget"]
    assert scaling["Condition"]["StringEquals"] == {
        "application-autoscaling:service-namespace": "sagemaker"
    }


def test_every_dead_letter_queue_is_named_for_redrive(assembly: Assembly) -> None:
    from nvfp4_ddim_contracts.operations import DEAD_LETTERS_OUTPUT

    named = [
        json.dumps(output["Value"])
        for template in assembly.templates
        for key, output in template.body.get("Outputs", {}).items()
        if key.startswith(DEAD_LETTERS_OUTPUT)
    ]
    queues = [
        name
        for _, name, queue in assembly.all_of("AWS::SQS::Queue")
        if "RedrivePolicy" not in queue["Properties"]
    ]
    assert len(named) == len(queues)
    for name in queues:
        assert any(name in text for text in named), name


def test_server_errors_are_counted_from_the_access_log(assembly: Assembly) -> None:
    properties = assembly.observability.only("AWS::Logs::MetricFilter")
    assert '"503"' in properties["FilterPattern"]
    (transformation,) = properties["MetricTransformations"]
    (alarm,) = (
        alarm
        for alarm in _alarms(assembly).values()
        if alarm.get("MetricName") == transformation["MetricName"]
    )
    assert alarm["Namespace"] == transformation["MetricNamespace"] == "Nvfp4Ddim/dev"


def test_what_alarms_look_at_is_what_functions_count(assembly: Assembly) -> None:
    """An alarm on a metric that nobody emits never goes off."""
    sources = "\n".join(path.read_text() for path in (REPOSITORY / "lambdas").rglob("*.py"))
    text = json.dumps(assembly.observability.body)
    names = set(re.findall(r'"MetricName": "(\w+)"', text)) | set(
        re.findall(r'Nvfp4Ddim/dev\\\\",\\\\"(\w+)', text)
    )
    own = {name for name in names if name.startswith(("Jobs", "Service", "Images", "Estimated"))}
    assert {"JobsExpired", "JobsRefused", "ServiceStopped"} <= own
    for name in own:
        assert f'"{name}"' in sources, name
