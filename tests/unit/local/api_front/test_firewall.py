import pytest

from local.api_front.firewall import Firewall, Rule
from local.api_front.refusals import Refusal

RATE = Rule("rate", rate=10, window_seconds=300)
SIZE = Rule("size", body_bytes=100)


def test_an_address_is_blocked_until_its_window_has_passed() -> None:
    wall = Firewall()
    for second in range(10):
        wall.admit((RATE,), "192.0.2.1", 0, now=second)
    with pytest.raises(Refusal, match="WAF_FILTERED"):
        wall.admit((RATE,), "192.0.2.1", 0, now=10)
    wall.admit((RATE,), "192.0.2.2", 0, now=10)
    wall.admit((RATE,), "192.0.2.1", 0, now=310)


def test_a_body_is_measured() -> None:
    wall = Firewall()
    wall.admit((RATE, SIZE), "192.0.2.1", 100)
    with pytest.raises(Refusal) as caught:
        wall.admit((RATE, SIZE), "192.0.2.1", 101)
    assert "size" in str(caught.value.message)
