"""A headless Chromium that looks at the console of a node. Not a test: `test_console.py` drives it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--lang=en-US",
    "--force-prefers-reduced-motion",
)  # fmt: skip

WAIT_SECONDS = 20.0


class Browser:
    """One tab."""

    def __init__(self, driver: webdriver.Chrome, base: str) -> None:
        self.driver = driver
        self.base = base

    def open(self, place: str = "") -> None:
        """A page of the console, such as `#/run`, loaded anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.base}/console/{place}")

    def go(self, place: str) -> None:
        """The same, as a link does it."""
        self.script("location.hash = arguments[0]", place)

    def script(self, text: str, *values: object) -> object:
        """What a function with this body answers."""
        return self.driver.execute_script(text, *values)

    def find(self, selector: str) -> WebElement:
        """The first match, once it is there."""
        return self.until(lambda: next(iter(self.all(selector)), None), selector)

    def all(self, selector: str) -> list[WebElement]:
        """What matches now."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def button(self, label: str) -> WebElement:
        """The button with this text or accessible name, once it is there."""
        path = f"//button[normalize-space()='{label}' or @aria-label='{label}']"
        return self.until(lambda: next(iter(self.driver.find_elements(By.XPATH, path)), None), label)

    def choose(self, selector: str, value: str) -> None:
        """An option of a select."""
        Select(self.find(selector)).select_by_value(value)

    def text(self) -> str:
        """All that is shown."""
        return str(self.find("main").text)

    def see(self, words: str) -> None:
        """Waits for words."""
        self.until(lambda: words in self.text(), f"{words!r}; there is: {self.text()[-600:]!r}")

    def until(self, true, what: str = ""):
        """Waits until something is so; answers it."""
        wait = WebDriverWait(self.driver, WAIT_SECONDS, 0.05, [StaleElementReferenceException])
        return wait.until(lambda _: true(), what)

    def size(self, width: int, height: int, phone: bool = False, scheme: str = "light") -> None:
        """What the page takes its window for."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone},
        )
        scheme_of = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme_of]})

    def before_pages(self, text: str) -> str:
        """Runs a script before those of each page from now on; answers its name."""
        made = self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": text})
        return str(made["identifier"])

    def no_longer_before_pages(self, name: str) -> None:
        """The inverse."""
        self.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", {"identifier": name})

    def complaints(self) -> list[str]:
        """What the browser has logged since it was asked last, refusals by the policy among it."""
        return [entry["message"] for entry in self.driver.get_log("browser")]


@contextmanager
def chromium(base: str, folder: Path) -> Iterator[Browser]:
    """Started, and ended."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for option in (*_OPTIONS, f"--user-data-dir={folder}"):
        options.add_argument(option)
    options.add_experimental_option("prefs", {"download.default_directory": str(folder / "downloads")})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    try:
        yield Browser(driver, base)
    finally:
        driver.quit()
