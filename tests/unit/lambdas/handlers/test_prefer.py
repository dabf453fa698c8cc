import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambdas.handlers._prefer import preferred_wait, wait_budget


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("wait=10", 10),
        ("WAIT = 3", 3),
        ('wait="7"', 7),
        ("wait=0", 0),
        ("wait=100", 25),
        ("respond-async, wait=5", 5),
        ("wait=5; foo=bar", 5),
        ("wait=1, wait=2", 1),
        ("wait", None),
        ("wait=-1", None),
        ("wait=soon", None),
        ("waiting=5", None),
    ],
)
def test_waits_are_read_and_capped(header: str | None, seconds: int | None) -> None:
    assert preferred_wait(header) == seconds


@settings(deadline=None)
@given(st.text())
def test_any_header_is_survived(header: str) -> None:
    wait = preferred_wait(header)
    assert wait is None or 0 <= wait <= 25


@settings(deadline=None)
@given(st.floats(0, 25), st.floats(0, 900))
def test_the_budget_leaves_time_to_answer(wanted: float, left: float) -> None:
    budget = wait_budget(wanted, left)
    assert 0 <= budget <= wanted
    assert budget == 0 or budget <= left - 2
