"""Pulling from a CDN that behaves, and from one that does not."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nvfp4_ddim_edge import HttpCdn, Puller, PullRequest, RetryPolicy
from nvfp4_ddim_edge.errors import (
    CdnError,
    DestinationError,
    DiskFullError,
    NotPublishedError,
    TamperedError,
)
from nvfp4_ddim_optimizer.errors import InvalidInputError
from tests.support_edge import Answer, CdnServer, Publisher, make_files

WEIGHTS = "unet/weights.safetensors"
MakePuller = Callable[..., Puller]


@pytest.fixture
def request_(tmp_path: Path) -> PullRequest:
    return PullRequest(name="m", target=tmp_path / "out" / "m")


def held(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and not path.name.startswith("manifest.json")
    }


def leftovers(target: Path) -> list[str]:
    return [each.name for each in target.parent.iterdir() if not each.name.endswith(".lock")]


def test_an_artifact_arrives_whole(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    files = make_files()
    sha256 = server.publish(Publisher(), files)
    report = puller().pull(request_)
    assert held(request_.target) == files
    assert report.artifact_sha256 == sha256
    assert report.received_bytes == report.bytes == sum(map(len, files.values()))
    assert len(server.asked(WEIGHTS)) == 10
    assert leftovers(request_.target) == ["m"]
    assert (request_.target / "manifest.json.sig").is_file()


def test_what_is_there_is_not_fetched_again(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    publisher = Publisher()
    server.publish(publisher, make_files(1))
    puller().pull(request_)
    server.requests.clear()
    again = puller().pull(request_)
    assert again.was_present
    assert {path.rsplit("/", 1)[1] for path, _ in server.requests} == {
        "live.json", "manifest.json", "manifest.json.sig"
    }  # fmt: skip
    server.publish(publisher, make_files(2))
    server.requests.clear()
    update = puller().pull(request_)
    assert held(request_.target) == make_files(2)
    assert not server.asked("vae/weights.safetensors")
    assert update.received_bytes == 10_000 + len(make_files(2)["unet/config.json"])


def test_a_damaged_file_is_mended(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    server.publish(Publisher(), make_files())
    puller().pull(request_)
    (request_.target / WEIGHTS).write_bytes(b"x" * 10_000)
    assert not puller().pull(request_).was_present
    assert held(request_.target) == make_files()


def test_two_paths_of_the_same_bytes_are_fetched_once(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    files = make_files() | {"copy/weights.safetensors": make_files()[WEIGHTS]}
    server.publish(Publisher(), files)
    puller(chunk_bytes=10**6).pull(request_)
    assert held(request_.target) == files
    assert len(server.asked(WEIGHTS) + server.asked("copy/weights.safetensors")) == 1


def test_broken_connections_go_on_where_they_broke(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    def fault(path: str, count: int, answer: Answer) -> None:
        if path.endswith(WEIGHTS) and len(answer.body) > 100:
            answer.cut = len(answer.body) // 2

    server.fault = fault
    server.publish(Publisher(), make_files())
    report = puller().pull(request_)
    assert held(request_.target) == make_files()
    assert report.received_bytes == report.bytes


def test_a_server_that_is_down_is_asked_again_after_a_while(
    server: CdnServer, puller: MakePuller, request_: PullRequest, tmp_path: Path
) -> None:
    waits: list[float] = []
    retry = RetryPolicy(base_seconds=0.0, sleep=waits.append)

    def fault(path: str, count: int, answer: Answer) -> None:
        if path.endswith("live.json") and count < 3:
            answer.status, answer.headers["Retry-After"] = 503, "7"

    server.fault = fault
    server.publish(Publisher(), make_files())
    with HttpCdn(server.url, retry=retry) as cdn:
        puller(cdn=cdn).pull(request_)
    assert waits == [7.0, 7.0, 7.0]


def test_waits_double_up_to_a_bound_and_are_random() -> None:
    from nvfp4_ddim_edge.retrying import TransientError

    retry = RetryPolicy(attempts=9, uniform=lambda low, high: high)
    error = TransientError("x")
    assert [retry.delay(count, error) for count in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    with pytest.raises(CdnError, match="Gave up after 9 attempts"):
        retry.delay(9, error)


@pytest.mark.parametrize("times", [2, 1_000])
def test_a_lie_about_a_range_is_not_believed(
    server: CdnServer, puller: MakePuller, request_: PullRequest, times: int
) -> None:
    def fault(path: str, count: int, answer: Answer) -> None:
        if path.endswith(WEIGHTS) and count < times:
            answer.headers["Content-Range"] = "bytes 0-999/10000"
            answer.body = answer.body[:1] + b"?" * 999

    server.fault = fault
    server.publish(Publisher(), make_files())
    if times > 2:
        with pytest.raises(CdnError, match="as asked"):
            puller().pull(request_)
        assert not request_.target.exists()
    else:
        # The first range is where it says it is: only the checksum tells.
        with pytest.raises(TamperedError, match="SHA-256"):
            puller(downloader=replace(puller().downloader, parallel=1)).pull(request_)
        server.fault = lambda *_: None
        puller().pull(request_)
        assert held(request_.target) == make_files()


@pytest.mark.parametrize("cut", [None, 6_000])
def test_a_server_without_ranges_sends_the_whole(
    server: CdnServer, puller: MakePuller, request_: PullRequest, cut: int | None
) -> None:
    whole = make_files()[WEIGHTS]
    times = 0

    def fault(path: str, count: int, answer: Answer) -> None:
        nonlocal times
        if path.endswith(WEIGHTS):
            answer.status, answer.body = 200, whole
            answer.headers.clear()
            times += 1
            answer.cut = cut if count < 8 else None

    server.fault = fault
    server.publish(Publisher(), make_files())
    puller().pull(request_)
    assert held(request_.target) == make_files()


def test_a_file_of_another_size_is_refused(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    def fault(path: str, count: int, answer: Answer) -> None:
        if path.endswith(WEIGHTS):
            answer.headers["Content-Range"] = answer.headers["Content-Range"].replace(
                "/10000", "/99999"
            )

    server.fault = fault
    server.publish(Publisher(), make_files())
    with pytest.raises(TamperedError, match="99999 bytes"):
        puller().pull(request_)


def test_a_tampered_file_leaves_the_former_release(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    publisher = Publisher()
    server.publish(publisher, make_files(1))
    puller().pull(request_)
    sha256 = server.publish(publisher, make_files(2))
    path = f"models/m/{sha256}/{WEIGHTS}"
    right = server.files[path]
    server.files[path] = right[:-1] + b"?"
    with pytest.raises(TamperedError, match="altered on its way"):
        puller().pull(request_)
    assert held(request_.target) == make_files(1)
    # What was wrong is forgotten: the next attempt starts afresh.
    server.files[path] = right
    puller().pull(request_)
    assert held(request_.target) == make_files(2)


def test_a_tampered_manifest_is_refused(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    sha256 = server.publish(Publisher(), make_files())
    server.files[f"models/m/{sha256}/manifest.json"] += b" "
    with pytest.raises(TamperedError, match="manifest of m was altered"):
        puller().pull(request_)


def test_another_models_manifest_does_not_pass(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    publisher = Publisher()
    server.publish(publisher, make_files(), name="m")
    other = server.publish(publisher, make_files(3), name="other")
    for path in list(server.files):
        if path.startswith("models/other/"):
            server.files[path.replace("models/other/", "models/m/")] = server.files[path]
    server.files["models/m/live.json"] = server.files["models/m/live.json"].replace(b"other", b"m")
    assert other
    with pytest.raises(TamperedError, match="is of other"):
        puller().pull(request_)


def test_a_full_disk_is_seen_beforehand(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    server.publish(Publisher(), make_files())
    with pytest.raises(DiskFullError, match="1,234 bytes free"):
        puller(free_space=lambda directory: 1_234).pull(request_)
    assert not server.asked(WEIGHTS)


@pytest.mark.parametrize("name", ["../evil", "M", "a/b", ""])
def test_a_name_can_leave_no_directory(
    puller: MakePuller, request_: PullRequest, name: str
) -> None:
    with pytest.raises(InvalidInputError):
        puller().pull(replace(request_, name=name))


def test_what_is_not_published_is_said(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    with pytest.raises(NotPublishedError, match="GET /v1/models"):
        puller().pull(request_)


def test_a_directory_of_something_else_is_left_alone(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    server.publish(Publisher(), make_files())
    request_.target.mkdir(parents=True)
    (request_.target / "diary.txt").write_text("dear diary")
    with pytest.raises(DestinationError, match="no artifact"):
        puller().pull(request_)
    assert [each.name for each in request_.target.iterdir()] == ["diary.txt"]


def test_two_pulls_into_one_directory_do_not_meet(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    arrived, go_on = threading.Event(), threading.Event()

    def fault(path: str, count: int, answer: Answer) -> None:
        if path.endswith(WEIGHTS):
            arrived.set()
            go_on.wait(10)

    server.fault = fault
    server.publish(Publisher(), make_files())
    first = threading.Thread(target=puller().pull, args=(request_,))
    first.start()
    assert arrived.wait(10)
    try:
        with pytest.raises(DestinationError, match="Another process"):
            puller().pull(request_)
    finally:
        go_on.set()
        first.join()
    assert held(request_.target) == make_files()


def test_a_replacement_cut_between_its_renames_is_undone(
    server: CdnServer, puller: MakePuller, request_: PullRequest
) -> None:
    publisher = Publisher()
    server.publish(publisher, make_files(1))
    puller().pull(request_)
    staging = request_.target.parent / ".m.pull"
    staging.mkdir()
    request_.target.rename(staging / "old")
    server.publish(publisher, make_files(2))
    server.fault = lambda path, count, answer: setattr(
        answer, "status", 500 if path.endswith(WEIGHTS) else answer.status
    )
    with pytest.raises(CdnError):
        puller().pull(request_)
    assert held(request_.target) == make_files(1)


@pytest.mark.parametrize(
    "address", ["http://cdn.example", "ftp://127.0.0.1", "cdn.example", "https://[", ""]
)
def test_only_https_leaves_this_machine(address: str) -> None:
    with pytest.raises(InvalidInputError, match="address"):
        HttpCdn(address, retry=RetryPolicy())
