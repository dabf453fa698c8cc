"""A person signs in on the deployed console, by the deployed user pool's pages."""

from collections.abc import Callable
from typing import Any

import pytest
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By

from local.deploy import Deployment
from tests.e2e.console.conftest import Resize
from tests.e2e.console.page import Page
from tests.e2e.people import PASSWORD, invite

pytestmark = pytest.mark.e2e

EMAIL = "hedy@example.org"


@pytest.fixture
def page(
    browser: WebDriver, resize: Resize, deployment: Deployment, aws: Callable[[str], Any]
) -> Page:
    page = Page(browser, deployment.console_url, 120)
    cognito = aws("cognito-idp")
    known = cognito.list_users(UserPoolId=deployment.user_pool_id)["Users"]
    emails = {item["Value"] for user in known for item in user["Attributes"]}
    if EMAIL not in emails:
        invite(cognito, deployment, EMAIL)
    return page


def _sign_in(page: Page, password: str) -> None:
    page.open(None)
    page.find("#sign-in").click()
    page.until(lambda: page.browser.find_elements(By.NAME, "password"))
    page.set("[name=username]", EMAIL)
    page.set("[name=password]", password)
    page.find("#sign-in").click()


def test_a_person_signs_in_sees_a_picture_and_signs_out(page: Page, deployment: Deployment) -> None:
    _sign_in(page, PASSWORD)
    page.until_text("#key-status", "Signed in")
    assert page.browser.current_url == deployment.console_url
    assert not page.find("#key-entry").is_displayed()
    page.set("#steps", "2")
    page.submit("red heart")
    assert page.until_picture().get_attribute("alt") == "red heart"

    page.browser.refresh()
    page.until_text("#key-status", "Signed in")
    assert page.severe_messages() == []
    assert page.stored("localStorage") == {}

    page.find("#sign-out").click()
    page.until(lambda: page.find("#key-entry").is_displayed())
    assert page.stored("sessionStorage").get("nvfp4-ddim.tokens") == "null"


def test_a_wrong_password_stays_at_the_sign_in(page: Page) -> None:
    _sign_in(page, "Wrong-horse-battery-9")
    page.until(lambda: "Incorrect" in page.text("#error"))


def test_an_answer_that_nobody_asked_for_signs_nobody_in(
    page: Page, deployment: Deployment
) -> None:
    page.browser.get(f"{deployment.console_url}?code=stolen&state=forged")
    page.until_text("#key-error", "did not work")
    assert page.browser.current_url == deployment.console_url
    assert not page.stored("sessionStorage").get("nvfp4-ddim.tokens")
