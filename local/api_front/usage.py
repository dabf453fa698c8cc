"""API keys and usage plans: who may call, how fast, how often."""

import threading
import time
from dataclasses import dataclass, field

from .model import Api, UsagePlan
from .refusals import Refusal

__all__ = ["UsageMeter"]

_PERIOD_SECONDS = {"DAY": 86_400, "WEEK": 7 * 86_400, "MONTH": 30 * 86_400}


@dataclass
class _Account:
    tokens: float
    refilled_at: float
    period: int = -1
    used: int = 0


@dataclass
class UsageMeter:
    """Counts the requests of each key in each plan: a token bucket and a quota."""

    _accounts: dict[tuple[str, str], _Account] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def admit(self, api: Api, key_value: str | None, now: float | None = None) -> str:
        """Check a key and count one request.

        Args:
            api: The deployed API.
            key_value: What the caller or the authoriser gave.
            now: Unix seconds; the clock's when absent.

        Returns:
            The key's id.

        Raises:
            Refusal: No such key, not enabled, in no plan of this stage, too fast, too often.
        """
        key = api.keys.get(key_value or "")
        if key is None or not key.enabled:
            raise Refusal("INVALID_API_KEY")
        plan = next((plan for plan in api.plans if key.key_id in plan.key_ids), None)
        if plan is None:
            raise Refusal("INVALID_API_KEY")
        with self._lock:
            self._count(plan, key.key_id, time.time() if now is None else now)
        return key.key_id

    def _count(self, plan: UsagePlan, key_id: str, now: float) -> None:
        burst = float(plan.burst_limit or 0)
        account = self._accounts.setdefault((plan.plan_id, key_id), _Account(burst, now))
        if plan.rate_limit is not None:
            refill = (now - account.refilled_at) * plan.rate_limit
            account.tokens = min(burst, account.tokens + refill)
            account.refilled_at = now
            if account.tokens < 1:
                raise Refusal("THROTTLED")
        if plan.quota_limit is not None:
            period = int(now // _PERIOD_SECONDS[plan.quota_period])
            if period != account.period:
                account.period, account.used = period, 0
            if account.used >= plan.quota_limit:
                raise Refusal("QUOTA_EXCEEDED")
            account.used += 1
        if plan.rate_limit is not None:
            account.tokens -= 1
