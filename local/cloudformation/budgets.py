"""AWS Budgets, stored by moto; nothing here costs anything, so that no budget is ever spent."""

from typing import Any, ClassVar

from local.errors import ProvisioningError
from local.settings import ACCOUNT_ID

from .adapter import ApiAdapter, Properties, Provisioned, ResourceRequest

__all__ = ["BudgetAdapter"]

_MOST_MAIL_ADDRESSES = 10


class BudgetAdapter(ApiAdapter):
    """Budgets with their notifications.

    Source: AWS Budgets API reference, "CreateBudget": at most one topic and ten mail addresses a
    notification, and no two notifications alike.
    """

    types: ClassVar = ("AWS::Budgets::Budget",)

    def create(self, request: ResourceRequest) -> Provisioned:
        """Make the budget.

        Raises:
            ProvisioningError: AWS Budgets would refuse it.
        """
        budget = dict(request.properties["Budget"])
        name = budget.setdefault("BudgetName", request.name)
        budget["BudgetLimit"] = {**budget["BudgetLimit"], "Amount": _amount(budget)}
        self._client("budgets").create_budget(
            AccountId=ACCOUNT_ID,
            Budget=budget,
            NotificationsWithSubscribers=_notifications(request.properties),
        )
        return Provisioned(name)

    def delete(self, current: Provisioned, request: ResourceRequest) -> None:
        """Delete the budget."""
        self._client("budgets").delete_budget(AccountId=ACCOUNT_ID, BudgetName=current.physical_id)


def _amount(budget: dict[str, Any]) -> str:
    amount = float(budget["BudgetLimit"]["Amount"])
    if amount <= 0:
        raise ProvisioningError("A budget's limit is more than nothing.")
    return str(amount)


def _notifications(properties: Properties) -> list[Properties]:
    notifications, seen = [], set()
    for each in properties.get("NotificationsWithSubscribers", []):
        notification = {
            **each["Notification"],
            "Threshold": float(each["Notification"]["Threshold"]),
        }
        kinds = [subscriber["SubscriptionType"] for subscriber in each["Subscribers"]]
        if not kinds or kinds.count("SNS") > 1 or kinds.count("EMAIL") > _MOST_MAIL_ADDRESSES:
            raise ProvisioningError("A notification has one topic and ten addresses at most.")
        identity = tuple(sorted(notification.items()))
        if identity in seen:
            raise ProvisioningError(f"The budget has two notifications alike: {notification}.")
        seen.add(identity)
        notifications.append({"Notification": notification, "Subscribers": each["Subscribers"]})
    return notifications
