"""The web ACL before the API: rates per address and sizes of bodies are enforced.

AWS's managed rules are known to AWS alone and are not evaluated.

Source: AWS WAF developer guide, "Using rate-based rule statements".
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from local.settings import REGION

from .model import Api
from .refusals import Refusal

__all__ = ["Firewall", "Rule", "read_rules"]

# Requests are counted in slices of the window, as AWS does: its counts are estimates too.
_SLICES = 30


@dataclass(frozen=True)
class Rule:
    """A blocking rule: at most `rate` requests in `window_seconds`, or `body_bytes` of a body."""

    name: str
    rate: int | None = None
    window_seconds: int = 300
    body_bytes: int | None = None


def read_rules(client: Any, api: Api) -> tuple[Rule, ...]:
    """The rules of the web ACL before the API's stage, in their order; none where there is none.

    Args:
        client: boto3 client of AWS WAF.
        api: The deployed API.
    """
    arn = f"arn:aws:apigateway:{REGION}::/restapis/{api.api_id}/stages/{api.stage}"
    acl = client.get_web_acl_for_resource(ResourceArn=arn).get("WebACL") or {}
    rules = sorted(acl.get("Rules", []), key=lambda rule: int(rule["Priority"]))
    return tuple(
        found for rule in rules if "Block" in (rule.get("Action") or {}) and (found := _rule(rule))
    )


def _rule(rule: dict[str, Any]) -> Rule | None:
    statement = rule["Statement"]
    if rate := statement.get("RateBasedStatement"):
        window = int(rate.get("EvaluationWindowSec", 300))
        return Rule(rule["Name"], rate=int(rate["Limit"]), window_seconds=window)
    if size := statement.get("SizeConstraintStatement"):
        return Rule(rule["Name"], body_bytes=int(size["Size"]))
    return None


@dataclass
class Firewall:
    """Counts requests of each address."""

    _slices: dict[tuple[str, str], deque[tuple[int, int]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(
        self, rules: tuple[Rule, ...], address: str, body_bytes: int, now: float | None = None
    ) -> None:
        """Let a request through.

        Args:
            rules: Of the web ACL.
            address: The caller's.
            body_bytes: Of the request.
            now: Unix seconds; the clock's when absent.

        Raises:
            Refusal: A rule blocks it.
        """
        moment = time.time() if now is None else now
        for rule in rules:
            too_large = rule.body_bytes is not None and body_bytes > rule.body_bytes
            if too_large or (rule.rate is not None and self._exceeds(rule, address, moment)):
                raise Refusal("WAF_FILTERED", f"Blocked by the rule {rule.name}.")

    def _exceeds(self, rule: Rule, address: str, now: float) -> bool:
        current = int(now * _SLICES // rule.window_seconds)
        with self._lock:
            slices = self._slices.setdefault((rule.name, address), deque())
            while slices and slices[0][0] <= current - _SLICES:
                slices.popleft()
            if slices and slices[-1][0] == current:
                slices[-1] = (current, slices[-1][1] + 1)
            else:
                slices.append((current, 1))
            return sum(count for _, count in slices) > (rule.rate or 0)
