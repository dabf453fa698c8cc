"""The console's states, against a stub that a test moves by hand; the real path is beside this."""

import json
import re
import uuid
from collections.abc import Iterator

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from nvfp4_ddim_contracts import GenerationRequest, JobState, ProblemType
from nvfp4_ddim_contracts.generation import MAX_PROMPT_CHARACTERS
from tests.e2e.console.conftest import WEB_DIRECTORY, Resize
from tests.e2e.console.page import Page
from tests.e2e.console.stub_answers import ARTIFACT_SHA256, make_job, problem, succeeded
from tests.e2e.console.stub_api import API_KEY, StubApi


@pytest.fixture
def stub() -> Iterator[StubApi]:
    with StubApi(WEB_DIRECTORY) as running:
        yield running


class Console(Page):
    """A page whose requests arrive at the stub."""

    def __init__(self, browser: WebDriver, stub: StubApi) -> None:
        super().__init__(browser, stub.page_url)
        self.stub = stub

    def open(self, key: str | None = API_KEY) -> None:
        super().open(key)

    def submit(self, prompt: str = "red heart") -> None:
        """Sends a prompt and waits until the stub has it."""
        sent = len(self.stub.bodies)
        super().submit(prompt)
        self.until(lambda: len(self.stub.bodies) > sent)


@pytest.fixture
def page(browser: WebDriver, stub: StubApi, resize: Resize) -> Console:
    return Console(browser, stub)


def test_a_prompt_becomes_a_picture_with_its_story(page: Console, stub: StubApi) -> None:
    page.open()
    page.submit("red heart")
    page.until_text("#activity", "Waiting")
    stub.advance(step=5)
    page.until_text("#step", "Step 5 of 20")
    assert page.find("#progress").get_property("value") == 5
    assert page.find("#progress").get_property("max") == 20
    job = stub.succeed(seed=7)

    picture = page.until_picture()
    assert picture.get_property("naturalWidth") == 64
    assert picture.size["width"] % 64 == 0
    assert picture.size["width"] >= 320
    page.find("figcaption input").click()
    assert picture.value_of_css_property("image-rendering") == "pixelated"
    assert picture.get_attribute("alt") == "red heart"
    link = page.find("figcaption a")
    assert link.get_attribute("href") == job.images[0].url
    assert link.get_attribute("download") == "red-heart-7.png"
    assert re.findall(r"[\d.]+ s", page.text(".timings")) == ["1.3 s", "2.3 s", "3.5 s"]
    story = page.text(".provenance")
    for part in ("emoji-64", ARTIFACT_SHA256[:12], "Balanced", "20", "cpu/fp32", job.id):
        assert part in story
    assert stub.bodies == [{"prompt": "red heart", "preset": "balanced", "image_format": "png"}]
    assert uuid.UUID(stub.idempotency_keys[0])
    assert page.stored("sessionStorage")["nvfp4-ddim.pending"] == "null"
    assert page.severe_messages() == []


def test_every_setting_reaches_the_request(page: Console, stub: StubApi) -> None:
    page.open()
    page.until(lambda: len(page.browser.find_elements(By.CSS_SELECTOR, "#model option")) == 2)
    page.find("#more summary").click()
    typed = {
        "#steps": ("num_inference_steps", 12),
        "#seed": ("seed", 4_294_967_295),
        "#negative": ("negative_prompt", "text"),
        "#guidance": ("guidance_scale", 2.5),
        "#eta": ("eta", 0.5),
        "#cache": ("cache_interval", 3),
        "#merging": ("token_merging_ratio", 0.25),
        "#width": ("width", 64),
        "#height": ("height", 128),
        "#images": ("num_images", 2),
    }
    for selector, (_, value) in typed.items():
        page.set(selector, str(value))
    page.set("#guided", "0.1, 0.8")
    page.find("#presets [value=fast]").click()
    assert "10, from the preset" in page.text("#steps-hint")
    page.find("#model").send_keys("emoji")
    page.find("#format").send_keys("WebP")
    page.submit()
    expected = dict(typed.values()) | {
        "prompt": "red heart",
        "guidance_interval": [0.1, 0.8],
        "preset": "fast",
        "model": "emoji-64",
        "image_format": "webp",
    }
    assert stub.bodies == [expected]


def test_controls_cover_the_contract_and_have_names(page: Console) -> None:
    page.open(key=None)
    controls = page.browser.find_elements(By.CSS_SELECTOR, "#request [name]")
    names = {control.get_attribute("name") for control in controls}
    assert names == set(GenerationRequest.model_fields) - {"task"}
    page.find("#more summary").click()
    for control in page.browser.find_elements(By.CSS_SELECTOR, "input, textarea, select, button"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
    for node in page.browser.find_elements(By.CSS_SELECTOR, "[data-text]"):
        assert node.get_property("textContent") not in ("", "undefined", "[object Object]")


@pytest.mark.parametrize(
    ("selector", "value", "message"),
    [
        ("#prompt", " ", "Describe the picture"),
        ("#prompt", "x" * (MAX_PROMPT_CHARACTERS + 1), "2001 characters; 2000 are allowed"),
        ("#steps", "0", "Choose from 1 to 1000"),
        ("#width", "60", "a multiple of 8"),
        ("#guided", "0 to 2", "two numbers from 0 to 1"),
        ("#cache", "0", "Choose from 1 to 20"),
    ],
)
def test_a_wrong_value_is_told_beside_its_field(
    page: Console, stub: StubApi, selector: str, value: str, message: str
) -> None:
    page.open()
    page.set("#prompt", "red heart")
    page.browser.execute_script("document.getElementById('more').open = true")
    control = page.find(selector)
    page.browser.execute_script("arguments[0].value = arguments[1]", control, value)
    page.find("#submit").click()
    assert control.get_attribute("aria-invalid") == "true"
    assert message in page.text(f"#{control.get_attribute('aria-describedby')}")
    assert page.browser.switch_to.active_element == control
    assert stub.bodies == []


def test_the_services_field_errors_stand_beside_their_fields(page: Console, stub: StubApi) -> None:
    page.open()
    errors = [
        {"field": "body.num_inference_steps", "message": "At most 60 on this endpoint."},
        {"field": "task", "message": "Not offered here."},
    ]
    stub.refusal = problem(
        ProblemType.INVALID_REQUEST, 400, "Invalid request", "Too much.", errors=errors
    )
    page.set("#prompt", "red heart")
    page.find("#submit").click()
    page.until_text("#num_inference_steps-error", "At most 60")
    assert page.browser.switch_to.active_element == page.find("#steps")
    for part in ("Invalid request", "Too much.", "task: Not offered here."):
        assert part in page.text("#failure")
    assert page.find("#submit").is_enabled()


def test_a_wrong_key_is_refused_and_forgotten(page: Console) -> None:
    page.open(key="wrong-key")
    page.until_text("#key-error", "does not accept this key")
    assert page.browser.switch_to.active_element == page.find("#api-key")
    assert "wrong-key" not in json.dumps(page.stored("sessionStorage"))


def test_the_key_stays_in_the_tab(page: Console) -> None:
    page.open()
    page.until_text("#key-status", "accepted")
    assert API_KEY in page.stored("sessionStorage")["nvfp4-ddim.api-key"]
    assert page.stored("localStorage") == {}
    assert API_KEY not in page.browser.current_url
    page.browser.refresh()
    page.until_text("#key-status", "accepted")


def test_a_prompt_without_a_key_asks_for_the_key(page: Console, stub: StubApi) -> None:
    page.open(key=None)
    page.set("#prompt", "red heart")
    page.find("#submit").click()
    assert "Enter your API key" in page.text("#key-error")
    assert stub.bodies == []


def test_a_key_refused_in_the_middle_loses_no_job(page: Console, stub: StubApi) -> None:
    page.open()
    page.submit()
    stub.refusal = problem(ProblemType.UNAUTHORIZED, 401, "Unauthorized", "The key was withdrawn.")
    page.until_text("#key-error", "does not accept this key")
    stub.refusal = None
    page.find("#api-key").send_keys(API_KEY, Keys.ENTER)
    stub.advance(step=3)
    page.until_text("#step", "Step 3 of 20")
    assert len(stub.bodies) == 1


@pytest.mark.parametrize(
    ("state", "title"),
    [(JobState.FAILED, "could not be made"), (JobState.EXPIRED, "took too long")],
)
def test_a_job_that_ends_without_a_picture_says_why(
    page: Console, stub: StubApi, state: JobState, title: str
) -> None:
    page.open()
    page.submit()
    detail = "The worker ran out of memory three times."
    error = problem(ProblemType.INFERENCE_FAILED, 500, "Failed", detail, instance="urn:job:1")
    stub.end(state, error if state is JobState.FAILED else None)
    page.until_text("#failure", title)
    if state is JobState.FAILED:
        assert detail in page.text("#failure")
        assert "urn:job:1" in page.text("#failure")
    assert page.find("#prompt").get_property("value") == "red heart"


def test_cancel_stops_the_job(page: Console, stub: StubApi) -> None:
    page.open()
    page.submit()
    stub.advance(step=2)
    page.until_text("#step", "Step 2")
    page.find("#cancel").click()
    page.until_text("#failure", "Cancelled")
    assert stub.job is not None
    assert stub.job.state is JobState.CANCELLED
    assert page.find("#submit").is_enabled()


def test_cancel_reaches_a_job_that_was_just_being_accepted(page: Console, stub: StubApi) -> None:
    page.open()
    stub.hold.clear()
    page.submit()
    page.find("#cancel").click()
    stub.hold.set()
    page.until_text("#failure", "Cancelled")
    assert stub.job is not None
    assert stub.job.state is JobState.CANCELLED


def test_a_lost_worker_is_told(page: Console, stub: StubApi) -> None:
    page.open()
    page.submit()
    stub.advance(step=1, attempt=2)
    page.until_text("#note", "attempt 2")


def test_a_reload_resumes_the_job(page: Console, stub: StubApi) -> None:
    page.open()
    page.submit("blue whale")
    stub.advance(step=4)
    page.until_text("#step", "Step 4")
    page.browser.refresh()
    page.until_text("#step", "Step 4 of 20")
    assert page.find("#prompt").get_property("value") == "blue whale"
    stub.succeed()
    page.until_picture()
    assert len(stub.bodies) == 1


def test_a_reload_before_the_answer_sends_the_same_request_once(
    page: Console, stub: StubApi
) -> None:
    page.open()
    page.until_text("#key-status", "accepted")
    stub.down = True
    page.set("#prompt", "red heart")
    page.find("#submit").click()
    page.until_text("#trouble", "does not answer")
    pending = json.loads(page.stored("sessionStorage")["nvfp4-ddim.pending"])
    page.browser.refresh()
    stub.down = False
    page.until(lambda: stub.bodies)
    assert stub.idempotency_keys == [pending["idempotencyKey"]]
    stub.succeed()
    page.until_picture()


def test_a_dropped_line_is_told_and_survived(page: Console, stub: StubApi) -> None:
    page.open()
    page.submit()
    stub.advance(step=6)
    page.until_text("#step", "Step 6")
    stub.down = True
    page.until_text("#trouble", "does not answer")
    assert "Step 6" in page.text("#step")
    stub.down = False
    stub.succeed()
    page.until_picture()
    assert not page.find("#trouble").is_displayed()


def test_a_busy_service_is_tried_again_under_the_same_key(page: Console, stub: StubApi) -> None:
    page.open()
    page.until_text("#key-status", "accepted")
    stub.refusal = problem(ProblemType.OVERLOADED, 429, "Overloaded", "Too many requests.")
    page.set("#prompt", "red heart")
    page.find("#submit").click()
    page.until_text("#trouble", "busy")
    stub.refusal = None
    page.until(lambda: stub.bodies)
    stub.succeed()
    page.until_picture()


def test_a_picture_that_does_not_load_is_offered_again(page: Console, stub: StubApi) -> None:
    page.open()
    page.submit()
    stub.images_down = True
    stub.succeed()
    page.until_text("#failure", "did not load")
    stub.images_down = False
    page.find("#failure button").click()
    page.until_picture()


def test_an_earlier_picture_gives_its_settings_back(page: Console, stub: StubApi) -> None:
    request = GenerationRequest(
        prompt="green tree", preset="quality", num_inference_steps=33, negative_prompt="snow"
    )
    stub.finished = [succeeded(make_job(request, number=9), stub.page_url, seed=42)]
    page.open()
    page.until(lambda: page.browser.find_elements(By.CSS_SELECTOR, "#thumbnails button"))
    page.find("#thumbnails button").click()
    assert page.until_picture().get_attribute("alt") == "green tree"
    values = {
        name: page.find(name).get_property("value") for name in ("#prompt", "#steps", "#seed")
    }
    assert values == {"#prompt": "green tree", "#steps": "33", "#seed": "42"}
    assert page.find("#presets [value=quality]").is_selected()
    assert page.find("#negative").is_displayed()
    assert page.find("#negative").get_property("value") == "snow"


def test_the_keyboard_is_enough(page: Console, stub: StubApi) -> None:
    page.open()
    page.find("#prompt").send_keys("red heart")
    page.find("#prompt").send_keys(Keys.CONTROL, Keys.ENTER)
    page.until(lambda: stub.bodies)
    stub.advance(step=20)
    page.until(lambda: "percent" in (page.find("#announcer").get_property("textContent") or ""))
    stub.succeed()
    page.until_picture()
    assert "ready" in str(page.find("#announcer").get_property("textContent"))


@pytest.mark.parametrize("width", [360, 390, 768])
def test_no_sideways_scrolling(page: Console, stub: StubApi, resize: Resize, width: int) -> None:
    resize(width, 780)
    page.open(key=None)
    assert page.overflow() <= 0
    page.open()
    page.find("#more summary").click()
    page.submit("an unbreakable" + "word" * 60)
    stub.advance(step=7)
    page.until_text("#step", "Step 7")
    assert page.overflow() <= 0
    stub.succeed(seed=4_294_967_295)
    page.until_picture()
    page.until(lambda: page.browser.find_elements(By.CSS_SELECTOR, "#thumbnails img"))
    assert page.overflow() <= 0


def test_a_missing_configuration_is_told(page: Console) -> None:
    page.browser.execute_cdp_cmd("Network.enable", {})
    page.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/config.json"]})
    try:
        page.browser.get(page.url)
        page.until_text("#failure", "config.json")
    finally:
        page.browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
