import threading
import time
from typing import Any

from nvfp4_ddim_server.progress import JobReporter, NoProgress


def test_no_progress_lets_every_job_go_on() -> None:
    assert NoProgress().report("job", 1, 2)


def test_writes_the_first_and_the_last_and_few_between(sink: Any, wait_until: Any) -> None:
    reporter = JobReporter(sink, "job", 100, lambda: None, interval_seconds=30)
    reporter.note(0)
    wait_until(lambda: sink.reports == [("job", 0, 100)])
    for step in range(1, 101):
        reporter.note(step)
    reporter.end()
    reporter.join(5)
    assert sink.reports == [("job", 0, 100), ("job", 100, 100)]


def test_writes_between_at_the_interval(sink: Any) -> None:
    reporter = JobReporter(sink, "job", 10, lambda: None, interval_seconds=0.02)
    for step in range(10):
        reporter.note(step)
        time.sleep(0.02)
    reporter.end()
    reporter.join(5)
    steps = [step for _, step, _ in sink.reports]
    assert steps == sorted(set(steps))
    assert len(steps) > 3
    assert steps[-1] == 9


def test_says_once_that_the_job_is_unwanted_and_writes_no_more(sink: Any) -> None:
    sink.wanted = False
    calls: list[str] = []
    reporter = JobReporter(sink, "job", 10, lambda: calls.append("stop"), interval_seconds=0)
    reporter.note(0)
    reporter.join(5)
    reporter.note(1)
    reporter.end()
    assert calls == ["stop"]
    assert len(sink.reports) == 1


def test_noting_never_waits_for_the_sink() -> None:
    release = threading.Event()

    class Stuck:
        def report(self, job_id: str, step: int, total_steps: int) -> bool:
            return release.wait(10)

    reporter = JobReporter(Stuck(), "job", 1000, lambda: None)
    begun = time.monotonic()
    for step in range(1000):
        reporter.note(step)
    assert time.monotonic() - begun < 1
    assert reporter.is_alive
    release.set()
    reporter.end()
    reporter.join(5)
    assert not reporter.is_alive


def test_a_job_that_never_began_reports_nothing(sink: Any) -> None:
    reporter = JobReporter(sink, "job", 10, lambda: None)
    reporter.end()
    reporter.join(5)
    assert sink.reports == []
