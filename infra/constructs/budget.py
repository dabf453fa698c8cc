"""What a stage may cost in a month, and who is told.

Source: AWS Budgets API reference, "Expression": the filters of `CostFilters` are alternatives, so
that "this service and this stage" takes an expression. Both tags have to be activated as cost
allocation tags in the account once; until then the budget sees nothing.
"""

from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.stages import SERVICE_TAG, SpendingLimit

__all__ = ["MonthlyBudget"]

_EVERYTHING = 100


class MonthlyBudget(Construct):
    """Warns operators on the way to the limit, and stops the service at it."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        limit: SpendingLimit,
        warnings: sns.ITopic,
        stop: sns.ITopic,
    ) -> None:
        """Define the budget.

        Args:
            scope: Parent.
            construct_id: Id in the parent.
            stage: Value of the tag `stage`.
            limit: How much, when to warn, and whom by mail.
            warnings: Told at each warning.
            stop: Told when everything is spent.
        """
        super().__init__(scope, construct_id)
        topics = dict.fromkeys(limit.warn_at_percent, warnings) | {_EVERYTHING: stop}
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=limit.monthly_usd, unit="USD"),
                metrics=["UnblendedCost"],
                filter_expression=budgets.CfnBudget.ExpressionProperty(
                    and_=[_tagged(*SERVICE_TAG), _tagged("stage", stage)]
                ),
            ),
            notifications_with_subscribers=[
                _notification(percent, topic, limit.mail) for percent, topic in topics.items()
            ],
        )


def _tagged(key: str, value: str) -> budgets.CfnBudget.ExpressionProperty:
    return budgets.CfnBudget.ExpressionProperty(
        tags=budgets.CfnBudget.TagValuesProperty(key=key, values=[value], match_options=["EQUALS"])
    )


def _notification(
    percent: int, topic: sns.ITopic, mail: str | None
) -> budgets.CfnBudget.NotificationWithSubscribersProperty:
    addresses = [("SNS", topic.topic_arn), *([("EMAIL", mail)] if mail else [])]
    return budgets.CfnBudget.NotificationWithSubscribersProperty(
        notification=budgets.CfnBudget.NotificationProperty(
            notification_type="ACTUAL",
            comparison_operator="GREATER_THAN",
            threshold=percent,
            threshold_type="PERCENTAGE",
        ),
        subscribers=[
            budgets.CfnBudget.SubscriberProperty(subscription_type=kind, address=address)
            for kind, address in addresses
        ],
    )
