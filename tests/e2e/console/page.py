"""The console as a test drives it."""

from collections.abc import Callable
from typing import Any

from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

__all__ = ["Page"]


class Page:
    """The console as a person uses it."""

    def __init__(self, browser: WebDriver, url: str, wait_seconds: float = 20) -> None:
        self.browser = browser
        self.url = url
        self._wait_seconds = wait_seconds

    def open(self, key: str | None) -> None:
        """Loads the page and, unless `key` is None, signs in."""
        self.browser.get(self.url)
        self.until(lambda: self.find("#submit").is_enabled())
        if key is not None:
            self.find("#api-key").send_keys(key, Keys.ENTER)
            self.until(
                lambda: not self.find("#key-entry").is_displayed() or self.text("#key-error")
            )

    def find(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.find(selector).text

    def until(self, condition: Callable[[], Any]) -> None:
        WebDriverWait(self.browser, self._wait_seconds, 0.05).until(lambda _: condition())

    def until_text(self, selector: str, expected: str) -> None:
        self.until(lambda: expected in self.text(selector))

    def set(self, selector: str, value: str) -> None:
        control = self.find(selector)
        control.clear()
        control.send_keys(value)

    def submit(self, prompt: str) -> None:
        self.set("#prompt", prompt)
        self.find("#submit").click()

    def until_picture(self) -> WebElement:
        self.until(lambda: self.browser.find_elements(By.CSS_SELECTOR, "figure img"))
        return self.find("figure img")

    def stored(self, area: str) -> dict[str, str]:
        return dict(self.browser.execute_script(f"return {{...{area}}}"))

    def overflow(self) -> int:
        """Pixels by which the content is wider than the viewport."""
        script = "const d = document.documentElement; return d.scrollWidth - d.clientWidth"
        return int(self.browser.execute_script(script))

    def severe_messages(self) -> list[str]:
        """What the browser's console complained of, less failed requests that a test provoked."""
        return [
            entry["message"]
            for entry in self.browser.get_log("browser")
            if entry["level"] == "SEVERE" and "Failed to load resource" not in entry["message"]
        ]
