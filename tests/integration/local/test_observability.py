"""Alarms on alarms, metric filters, budgets, and functions that SNS calls."""

import json
from collections.abc import Callable
from typing import Any

from local.settings import ACCOUNT_ID
from tests.support_local import Cloud

Resources = dict[str, Any]


def _alarm() -> Resources:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "EvaluationPeriods": "1",
            "Threshold": "1",
            "Metrics": [
                {"Id": "sum", "Expression": "a + a", "ReturnData": "true"},
                {
                    "Id": "a",
                    "ReturnData": "false",
                    "MetricStat": {
                        "Metric": {"Namespace": "Own", "MetricName": "Failures"},
                        "Period": "60",
                        "Stat": "Sum",
                    },
                },
            ],
        },
    }


def _composite(alarm_arn: Any) -> Resources:
    rule = {"Fn::Join": ["", ['ALARM("', alarm_arn, '")']]}
    return {"Type": "AWS::CloudWatch::CompositeAlarm", "Properties": {"AlarmRule": rule}}


def _budget(*thresholds: int, amount: int = 50) -> Resources:
    subscribers = [{"SubscriptionType": "EMAIL", "Address": "ops@example.org"}]
    return {
        "Type": "AWS::Budgets::Budget",
        "Properties": {
            "Budget": {
                "BudgetType": "COST",
                "TimeUnit": "MONTHLY",
                "BudgetLimit": {"Amount": amount, "Unit": "USD"},
                "Metrics": ["UnblendedCost"],
                "FilterExpression": {"Tags": {"Key": "stage", "Values": ["dev"]}},
            },
            "NotificationsWithSubscribers": [
                {
                    "Notification": {
                        "NotificationType": "ACTUAL",
                        "ComparisonOperator": "GREATER_THAN",
                        "Threshold": threshold,
                        "ThresholdType": "PERCENTAGE",
                    },
                    "Subscribers": subscribers,
                }
                for threshold in thresholds
            ],
        },
    }


def test_an_alarm_on_alarms_knows_them(cloud: Cloud) -> None:
    resources = {"Part": _alarm(), "Whole": _composite({"Fn::GetAtt": ["Part", "Arn"]})}
    assert cloud.create_stack("composite", resources)["StackStatus"] == "CREATE_COMPLETE"
    described = cloud.client("cloudwatch").describe_alarms(
        AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    (whole,) = described["CompositeAlarms"]
    assert any(each["AlarmName"] in whole["AlarmRule"] for each in described["MetricAlarms"])
    cloud.client("cloudformation").delete_stack(StackName="composite")
    assert cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


def test_an_alarm_on_an_alarm_that_is_not_there_fails(cloud: Cloud) -> None:
    arn = f"arn:aws:cloudwatch:us-east-1:{ACCOUNT_ID}:alarm:nobody"
    stack = cloud.create_stack("composite-of-nothing", {"Whole": _composite(arn)})
    assert stack["StackStatus"] == "ROLLBACK_COMPLETE"
    assert "nobody" in cloud.failure("composite-of-nothing")


def test_a_metric_filter_belongs_to_its_log_group(cloud: Cloud) -> None:
    resources = {
        "Group": {"Type": "AWS::Logs::LogGroup", "Properties": {"LogGroupName": "access"}},
        "Filter": {
            "Type": "AWS::Logs::MetricFilter",
            "Properties": {
                "LogGroupName": {"Ref": "Group"},
                "FilterPattern": '{ $.status = "5*" }',
                "MetricTransformations": [
                    {
                        "MetricName": "ServerErrors",
                        "MetricNamespace": "Own",
                        "MetricValue": "1",
                        "DefaultValue": 0,
                    }
                ],
            },
        },
    }
    assert cloud.create_stack("filter", resources)["StackStatus"] == "CREATE_COMPLETE"
    (found,) = cloud.client("logs").describe_metric_filters(logGroupName="access")["metricFilters"]
    assert found["metricTransformations"][0]["metricName"] == "ServerErrors"


def test_a_budget_has_its_warnings(cloud: Cloud) -> None:
    stack = cloud.create_stack("budget", {"Budget": _budget(50, 100)})
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    budgets = cloud.client("budgets")
    (budget,) = budgets.describe_budgets(AccountId=ACCOUNT_ID)["Budgets"]
    assert float(budget["BudgetLimit"]["Amount"]) == 50
    told = budgets.describe_notifications_for_budget(
        AccountId=ACCOUNT_ID, BudgetName=budget["BudgetName"]
    )["Notifications"]
    assert {each["Threshold"] for each in told} == {50, 100}


def test_a_budget_that_aws_would_refuse_fails(cloud: Cloud) -> None:
    for name, budget in (
        ("twice", _budget(50, 50)),
        ("nothing", _budget(50, amount=0)),
    ):
        stack = cloud.create_stack(f"budget-{name}", {"Budget": budget})
        assert stack["StackStatus"] == "ROLLBACK_COMPLETE", name


def test_a_topic_calls_a_function_and_its_failures_are_kept(
    cloud: Cloud,
    function_resource: Callable[..., Resources],
    eventually: Callable[[Callable[[], Any]], Any],
) -> None:
    failing = function_resource("misbehave")
    failing["Properties"]["DeadLetterConfig"] = {"TargetArn": {"Fn::GetAtt": ["Lost", "Arn"]}}
    resources = {
        "Lost": {"Type": "AWS::SQS::Queue", "Properties": {}},
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {}},
        "Failing": failing,
        "Subscription": {
            "Type": "AWS::SNS::Subscription",
            "Properties": {
                "TopicArn": {"Ref": "Topic"},
                "Protocol": "lambda",
                "Endpoint": {"Fn::GetAtt": ["Failing", "Arn"]},
            },
        },
    }
    cloud.create_stack("called", resources, {"Topic": {"Ref": "Topic"}, "Lost": {"Ref": "Lost"}})
    outputs = cloud.outputs("called")
    cloud.client("sns").publish(TopicArn=outputs["Topic"], Message="spent")
    sqs = cloud.client("sqs")
    (message,) = eventually(
        lambda: sqs.receive_message(QueueUrl=outputs["Lost"]).get("Messages", [])
    )
    (record,) = json.loads(message["Body"])["Records"]
    assert (record["EventSource"], record["Sns"]["Message"]) == ("aws:sns", "spent")
