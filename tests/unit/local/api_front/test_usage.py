from collections.abc import Callable
from dataclasses import replace

import pytest

from local.api_front.model import Api
from local.api_front.refusals import Refusal
from local.api_front.usage import UsageMeter


@pytest.mark.parametrize("key", [None, "", "unknown", "off"])
def test_a_key_has_to_exist_and_be_enabled(make_api: Callable[..., Api], key: str | None) -> None:
    with pytest.raises(Refusal, match="INVALID_API_KEY"):
        UsageMeter().admit(make_api(), key)


def test_a_key_without_a_plan_of_this_stage_is_refused(make_api: Callable[..., Api]) -> None:
    with pytest.raises(Refusal, match="INVALID_API_KEY"):
        UsageMeter().admit(make_api(plans=()), "good")


def test_the_burst_passes_then_the_rate_holds(make_api: Callable[..., Api]) -> None:
    meter, api = UsageMeter(), make_api()
    for _ in range(2):
        assert meter.admit(api, "good", now=100.0) == "1"
    with pytest.raises(Refusal, match="THROTTLED"):
        meter.admit(api, "good", now=100.5)
    meter.admit(api, "good", now=101.1)


def test_the_quota_ends_and_comes_back_with_the_period(make_api: Callable[..., Api]) -> None:
    (plan,) = make_api().plans
    limited = replace(plan, rate_limit=None, burst_limit=None, quota_limit=2, quota_period="DAY")
    meter, api = UsageMeter(), make_api(plans=(limited,))
    meter.admit(api, "good", now=0.0)
    meter.admit(api, "good", now=1.0)
    with pytest.raises(Refusal, match="QUOTA_EXCEEDED"):
        meter.admit(api, "good", now=2.0)
    meter.admit(api, "good", now=86_400.0)
