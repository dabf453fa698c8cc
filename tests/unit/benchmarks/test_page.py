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
    assert verdicts == {
        "demo_seconds": "met",
        "too_slow": "**missed** by 2 %",
        "accuracy": "met",
    }


def test_a_narrow_miss_and_one_on_a_scale_without_a_zero_are_told_in_numbers() -> None:
    narrow = CLAIM | {"id": "narrow", "value": 60.05}
    scale = CLAIM | {"id": "ssimulacra2", "value": -28.4, "goal": -8.7, "better": "higher"}
    page = render({"demo": [narrow, scale | {"unit": ""}]}, [])
    verdicts = [line.split("|")[4].strip() for line in _rows(page)][:2]
    assert verdicts == ["**missed** by 0.08 %", "**missed** by 19.7"]


def test_a_number_without_a_promise_has_no_verdict() -> None:
    (row,) = _rows(render({"demo": [CLAIM | {"goal": None}]}, []))
    assert row.split("|")[3:5] == ["  ", "  "]


def test_the_command_the_machine_and_the_topics_pictures_are_named() -> None:
    page = render({"demo": [CLAIM]}, ["demo_plot.png", "other.png"])
    assert "`python -m benchmarks.demo` — a laptop, 2026-01-01" in page
    assert "demo_plot.png" in page
    assert "other.png" not in page


def test_promises_of_all_topics_are_told_first() -> None:
    missed = CLAIM | {"id": "too_slow", "value": 61.0}
    page = render({"demo": [CLAIM], "speed_gpu": [missed]}, [])
    summary = page[: page.index("## Demo")]
    assert "1 of 2 are met" in summary
    assert "| [Speed gpu](#speed-gpu) | `too_slow` | 61 s | ≤ 60 s | **missed** by 2 % |" in summary


def test_groups_have_tables_of_their_own_with_promises_first() -> None:
    free = CLAIM | {"id": "free", "goal": None, "group": "Memory"}
    held = CLAIM | {"id": "held", "group": "Memory", "value": 1.6e9, "unit": "bytes", "goal": 2e9}
    page = render({"demo": [CLAIM, free, held]}, [])
    tail = page[page.index("### Memory") :]
    assert [row.split("`")[1] for row in _rows(tail)] == ["held", "free"]
    assert "| 1.6 GB | ≤ 2 GB | met |" in tail


def test_a_picture_belongs_to_the_longest_topic_that_begins_its_name() -> None:
    page = render({"speed": [CLAIM], "speed_gpu": [CLAIM]}, ["speed_gpu_steps.png"])
    assert page.count("speed_gpu_steps.png") == 1
    assert page.index("## Speed gpu") < page.index("speed_gpu_steps.png")


def _rows(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("| `")]
