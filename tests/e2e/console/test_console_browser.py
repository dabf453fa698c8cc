"""The whole path as a person sees it: the deployed console, the deployed API, the real model."""

import re

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select

from local.deploy import Deployment
from nvfp4_ddim_contracts.tasks import TASKS, TaskName
from tests.e2e.console.conftest import Resize
from tests.e2e.console.page import Page
from tests.support_samples import INPUTS

pytestmark = pytest.mark.e2e

WAIT_SECONDS = 240
# Standard deviation of the picture's grey values, 0 to 255; a blank picture has none.
GREY_DEVIATION = """
const image = document.querySelector("figure img");
const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
const context = canvas.getContext("2d");
context.drawImage(image, 0, 0);
const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
const greys = [];
for (let at = 0; at < data.length; at += 4) {
  greys.push((data[at] + data[at + 1] + data[at + 2]) / 3);
}
const mean = greys.reduce((sum, grey) => sum + grey, 0) / greys.length;
return Math.sqrt(greys.reduce((sum, grey) => sum + (grey - mean) ** 2, 0) / greys.length);
"""


@pytest.fixture
def page(browser: WebDriver, resize: Resize, deployment: Deployment) -> Page:
    return Page(browser, deployment.console_url, WAIT_SECONDS)


def test_a_person_types_a_prompt_and_sees_a_picture(page: Page, deployment: Deployment) -> None:
    page.open(deployment.api_key)
    page.until_text("#key-status", "accepted")
    page.until(lambda: len(page.browser.find_elements(By.CSS_SELECTOR, "#model option")) > 1)
    page.find("#presets [value=fast]").click()
    page.set("#seed", "7")
    page.submit("red heart")

    picture = page.until_picture()
    assert picture.get_property("naturalWidth") == 64
    assert page.browser.execute_script(GREY_DEVIATION) > 10
    seconds = [float(value) for value in re.findall(r"([\d.]+) s", page.text(".timings"))]
    assert len(seconds) == 3
    assert 0 < seconds[1] <= seconds[2]
    story = page.text(".provenance")
    assert re.search(r"Artifact SHA-256\s+[0-9a-f]{12}", story)
    assert re.search(r"Preset\s+Fast\s+Steps\s+10\s", story)
    assert re.search(r"Seed\s+7\s", story)
    assert page.severe_messages() == []

    page.browser.refresh()
    page.until(lambda: page.browser.find_elements(By.CSS_SELECTOR, "#thumbnails button"))
    page.find("#thumbnails button").click()
    assert page.until_picture().get_attribute("alt") == "red heart"
    assert page.find("#seed").get_property("value") == "7"


def test_a_person_cancels_a_long_job(page: Page, deployment: Deployment) -> None:
    page.open(deployment.api_key)
    page.set("#steps", "1000")
    page.submit("blue butterfly")
    page.until_text("#step", "of 1000")
    page.find("#cancel").click()
    page.until_text("#failure", "Cancelled")
    assert page.find("#submit").is_enabled()


def test_a_reload_in_the_middle_loses_nothing(page: Page, deployment: Deployment) -> None:
    page.open(deployment.api_key)
    page.set("#steps", "40")
    page.submit("green tree")
    page.until_text("#step", "of 40")
    page.browser.refresh()
    assert page.until_picture().get_attribute("alt") == "green tree"


def test_a_wrong_key_is_told(page: Page) -> None:
    page.open("not-a-key-of-this-service")
    page.until_text("#key-error", "does not accept this key")


@pytest.mark.skipif(TaskName.ANALYZE not in TASKS, reason="needs the task")
def test_a_person_sends_a_photo_and_reads_the_report(page: Page, deployment: Deployment) -> None:
    page.open(deployment.api_key)
    page.until(lambda: page.browser.find_elements(By.ID, "tab-analyze"))
    page.find("#tab-analyze").click()
    page.find("#analyze-photo").send_keys(str(INPUTS / "potato_late_blight.jpg"))
    Select(page.find("#analyze-preset")).select_by_value("fast")
    page.find("#analyze-form [type=submit]").click()
    page.until_text("#details", "report.json")
    assert "Probability" in page.text(".report")
    # The form went to the store, past the page's policy and the bucket's rule for origins.
    assert page.severe_messages() == []
