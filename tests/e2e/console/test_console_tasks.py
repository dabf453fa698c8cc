"""The console's tabs for tasks, against the stub: files, forms, progress, results, errors."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from nvfp4_ddim_contracts import FieldError, JobState, ProblemType
from nvfp4_ddim_contracts.tasks import TASKS
from tests.e2e.console.conftest import WEB_DIRECTORY, Resize
from tests.e2e.console.page import Page
from tests.e2e.console.stub_answers import problem
from tests.e2e.console.stub_api import API_KEY, StubApi
from tests.support_tasks import MAX_TOY_BYTES, install_toy

DROP = """
const [zone, name, text] = arguments;
const data = new DataTransfer();
data.items.add(new File([text], name));
for (const kind of ["dragenter", "dragover", "drop"]) {
  zone.dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
}
"""
UNLABELLED = """
return [...document.querySelectorAll("#ask input, #ask select, #ask textarea")]
  .filter((control) => !control.labels.length && !control.ariaLabel)
  .map((control) => control.name);
"""


def png() -> bytes:
    """One white pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return (
        b"\x89PNG\r\n\x1a\n"
        + header
        + chunk(b"IDAT", zlib.compress(b"\0\xff"))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    install_toy(monkeypatch)


@pytest.fixture
def stub() -> Iterator[StubApi]:
    with StubApi(WEB_DIRECTORY) as running:
        yield running


class Console(Page):
    """The toy's tab."""

    def open(self, key: str | None = API_KEY) -> None:
        super().open(key)
        self.until(lambda: self.browser.find_elements(By.ID, "tab-segment"))
        self.find("#tab-segment").click()

    def choose(self, path: Path) -> None:
        self.find("#segment-image").send_keys(str(path))

    def start(self) -> None:
        self.find("#segment-form [type=submit]").click()


@pytest.fixture
def page(browser: WebDriver, stub: StubApi, resize: Resize) -> Console:
    return Console(browser, stub.page_url)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "cells.PNG"
    path.write_bytes(png())
    return path


def test_a_file_becomes_a_result(page: Console, stub: StubApi, picture: Path) -> None:
    page.open()
    page.choose(picture)
    assert "cells.PNG" in page.text("#segment-image-hint")
    page.set("#segment-p-samples", "3")
    page.set("#segment-seed", "7")
    page.start()
    page.until(lambda: stub.bodies)
    assert stub.bodies == [
        {
            "task": "segment",
            "preset": "balanced",
            "inputs": {"image": {"upload": f"{0:032x}"}},
            "parameters": {"samples": 3},
            "seed": 7,
        }
    ]
    (form,) = stub.uploads
    assert picture.read_bytes() in form
    # S3 ignores whatever comes after the file.
    assert form.index(b'name="key"') < form.index(b'name="file"')
    assert b"image/png" in form[: form.index(b'name="file"')]

    page.until_text("#activity", "Waiting")
    stub.advance(step=5)
    page.until_text("#step", "Step 5 of 20")
    assert page.text("#activity") == "Working…"
    stub.succeed_task(
        {"area": 9, "share": 0.123456, "ok": True, "leaf": {"box": [1, 2]}, "parts": [{"px": 4}]},
        report_json="application/json",
        mask_png="image/png",
    )
    shown = page.until_picture()
    assert shown.get_attribute("alt") == "Segment: mask.png"
    rows = [row.text for row in page.browser.find_elements(By.CSS_SELECTOR, ".report tr")]
    assert rows == ["Area 9", "Share 0.1235", "Ok yes", "Leaf: box 1, 2"]
    assert "Px" in page.text(".records thead")
    links = page.browser.find_elements(By.CSS_SELECTOR, ".files a")
    assert [link.get_attribute("download") for link in links] == ["report.json", "mask.png"]
    story = page.text(".provenance")
    assert "toy-model" in story
    assert "Guidance" not in story
    assert page.severe_messages() == []

    page.browser.refresh()
    page.until(lambda: page.browser.find_elements(By.CSS_SELECTOR, "#thumbnails button"))
    page.find("#thumbnails button").click()
    page.until_picture()
    assert page.find("#tab-segment").get_attribute("aria-selected") == "true"
    assert page.find("#segment-p-samples").get_property("value") == "3"


def test_a_file_can_be_dropped(page: Console, stub: StubApi) -> None:
    page.open()
    zone = page.find("#segment-form .drop")
    page.browser.execute_script(DROP, zone, "dropped.jpg", "a picture")
    assert "dropped.jpg" in page.text("#segment-image-hint")
    page.start()
    page.until(lambda: stub.bodies)
    assert b"image/jpeg" in stub.uploads[0]


def test_it_works_by_keyboard_and_every_field_has_a_label(
    page: Console, stub: StubApi, picture: Path
) -> None:
    page.open()
    page.find("#tab-generate").click()
    page.find("#tab-generate").send_keys(Keys.ARROW_RIGHT)
    active = page.browser.switch_to.active_element
    names = ["generate", *dict.fromkeys([*TASKS])]
    assert active.get_attribute("id") == f"tab-{names[1]}"
    active.send_keys(Keys.HOME)
    assert page.find("#request").is_displayed()
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    assert page.browser.switch_to.active_element.get_attribute("id") == f"tab-{names[-1]}"
    page.find("#tab-segment").click()
    page.choose(picture)
    page.find("#segment-seed").send_keys("1", Keys.ENTER)
    page.until(lambda: stub.bodies)
    assert page.browser.execute_script(UNLABELLED) == []


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("notes.txt", 1, "not taken"),
        ("empty.png", 0, "empty"),
        ("large.png", MAX_TOY_BYTES + 1, "are taken"),
    ],
)
def test_a_file_that_is_not_taken_is_never_sent(
    page: Console, tmp_path: Path, name: str, size: int, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(bytes(size))
    page.open()
    page.choose(path)
    page.start()
    assert words in page.text("#segment-image-error")
    assert page.browser.switch_to.active_element.get_attribute("id") == "segment-image"
    assert not page.find("#working").is_displayed()


def test_without_a_file_nothing_is_sent(page: Console, stub: StubApi) -> None:
    page.open()
    page.set("#segment-p-samples", "9")
    page.start()
    assert "Choose a file" in page.text("#segment-image-error")
    assert "at most 4" in page.text("#segment-p-samples-error")
    assert stub.bodies == []


def test_a_file_that_does_not_arrive_is_told(page: Console, stub: StubApi, picture: Path) -> None:
    stub.store_down = True
    page.open()
    page.choose(picture)
    page.start()
    page.until_text("#failure", "did not arrive")
    assert page.find("#segment-form [type=submit]").is_enabled()
    assert stub.bodies == []


def test_what_the_service_refuses_stands_beside_its_field(
    page: Console, stub: StubApi, picture: Path
) -> None:
    stub.refusal = problem(
        ProblemType.INVALID_REQUEST,
        400,
        "The request is not valid",
        "See the fields.",
        errors=(
            FieldError(field="parameters.samples", message="too many"),
            FieldError(field="inputs.image", message="no picture"),
        ),
    )
    page.open()
    page.choose(picture)
    page.start()
    page.until_text("#failure", "not valid")
    assert page.text("#segment-p-samples-error") == "too many"
    assert page.text("#segment-image-error") == "no picture"


def test_a_task_can_be_cancelled(page: Console, stub: StubApi, picture: Path) -> None:
    page.open()
    page.choose(picture)
    page.start()
    page.until_text("#activity", "Waiting")
    page.find("#cancel").click()
    page.until_text("#failure", "Cancelled")
    assert stub.job is not None
    assert stub.job.state is JobState.CANCELLED


def test_a_narrow_screen_shows_everything(page: Console, resize: Resize) -> None:
    resize(320, 800)
    page.open()
    assert page.overflow() == 0
