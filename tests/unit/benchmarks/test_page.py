from benchmarks.page import render

CLAIM = {
    "id": "demo_seconds",
    "value": 42.0,
    "unit": "s",
    "goal": 60,
    "better": "lower",
    "note": "all of it",
    "command": "python -m benchmarks.demo",
    "machine": "a laptop",
    "date": "2026-01-01",
}


def test_a_goal_reached_and_a_goal_missed_are_told_apart() -> None:
    missed = CLAIM | {"id": "too_slow", "value": 61.0}
    higher = CLAIM | {"id": "accuracy", "value": 61.0, "better": "higher"}
    page = render({"demo": [CLAIM, missed, higher]}, [])
    verdicts = {line.split("`")[1]: line.split("|")[4].strip() for line in _rows(page)}
    assert verdicts == {"demo_seconds": "met", "too_slow": "**missed**", "accuracy": "met"}


def test_a_number_without_a_promise_has_no_verdict() -> None:
    (row,) = _rows(render({"demo": [CLAIM | {"goal": None}]}, []))
    assert row.split("|")[3:5] == ["  ", "  "]


def test_the_command_the_machine_and_the_topics_pictures_are_named() -> None:
    page = render({"demo": [CLAIM]}, ["demo_plot.png", "other.png"])
    assert "`python -m benchmarks.demo` — a laptop, 2026-01-01" in page
    assert "demo_plot.png" in page
    assert "other.png" not in page


def _rows(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("| `")]
