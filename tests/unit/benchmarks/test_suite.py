"""`make bench` leaves no number out, and says what it needs."""

from benchmarks.claims import DOCS
from benchmarks.suite import BENCHMARKS


def test_every_topic_of_the_page_is_measured() -> None:
    topics = {path.stem for path in DOCS.glob("*.json")}
    assert {benchmark.command[0] for benchmark in BENCHMARKS} == {
        f"benchmarks.{topic}" for topic in topics
    }


def test_benchmarks_that_need_two_sets_of_pictures_are_given_both() -> None:
    options = {
        benchmark.command[0]: [word for word in benchmark.command if word.startswith("--")]
        for benchmark in BENCHMARKS
    }
    assert options["benchmarks.analyze"] == ["--data", "--foreign"]
    assert options["benchmarks.leaf_foreign"] == ["--data", "--pictures"]
