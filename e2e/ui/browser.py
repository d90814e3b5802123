"""A headless Chromium as the tests and the pictures use it: wait for what is seen, press keys, look at the console and at every request."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver
from selenium.common.exceptions import JavascriptException, NoSuchElementException, StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from e2e.ui.install import AXE

PATIENCE = 2.0
"""Deadlines are written for a quiet machine."""


class Browser:
    """One browser with one tab. `close` ends it and removes its profile."""

    keys = Keys

    def __init__(self, width: int = 1200, height: int = 900) -> None:
        self._profile = tempfile.mkdtemp(prefix="flaggerpy-browser-")
        options = Options()
        options.binary_location = shutil.which("chromium") or "chromium"
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--force-color-profile=srgb",
            "--disable-background-networking", "--disable-component-update", "--no-first-run", "--lang=en-GB",
            f"--user-data-dir={self._profile}",
        ):  # fmt: skip
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver: Any = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
        self._requests: list[str] = []
        self.size(width, height)

    def close(self) -> None:
        self.driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    # --- looking -----------------------------------------------------------------------------------------------------------------------

    def fresh(self) -> None:
        """Another tab in place of this one: nothing of what a page kept for its tab is left."""
        old = self.driver.current_window_handle
        self.driver.switch_to.new_window("tab")
        new = self.driver.current_window_handle
        self.driver.switch_to.window(old)
        self.driver.close()
        self.driver.switch_to.window(new)

    def open(self, url: str) -> None:
        self.driver.get(url)

    def text(self, selector: str = "body") -> str:
        """What is seen of the first element; "" when there is none."""
        try:
            found: str = self.driver.find_element(By.CSS_SELECTOR, selector).text
        except (NoSuchElementException, StaleElementReferenceException):
            return ""
        return found

    def texts(self, selector: str) -> list[str]:
        return [str(text) for text in self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector)]

    def live(self) -> str:
        """What a screen reader was told last."""
        found: str = self.run("return document.getElementById('live').textContent")
        return found

    def count(self, selector: str) -> int:
        return int(self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def until(self, what: str, check: Callable[[], Any], seconds: float = 10) -> Any:
        """Wait until `check` gives something true; answers it. An AssertionError tells what the page shows instead."""
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            try:
                if found := check():
                    return found
            except (StaleElementReferenceException, NoSuchElementException, JavascriptException):
                pass
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {seconds:g} s: {what}\nconsole: {self.console()}\nthe page shows:\n{self.text()}")
            time.sleep(0.1)

    def sees(self, text: str, selector: str = "body", seconds: float = 10) -> None:
        """Wait until this text is seen."""
        self.until(f"{text!r} in {selector}", lambda: text in self.text(selector), seconds)

    # --- doing -------------------------------------------------------------------------------------------------------------------------

    def click(self, selector: str, text: str = "") -> None:
        """Click the first such element that is seen, with this text where given."""

        def found() -> Any:
            every = self.driver.find_elements(By.CSS_SELECTOR, selector)
            return next((each for each in every if each.is_displayed() and text in each.text), None)

        self.until(f"{selector} {text}", found).click()

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, wherever the focus is."""
        ActionChains(self.driver).send_keys(*keys).perform()

    def focused(self) -> str:
        """The element with the focus, as tag and what it is called."""
        found: str = self.run(
            "const e = document.activeElement; return e.tagName + ' ' + (e.getAttribute('aria-label') || e.id || e.innerText || '').trim()"
        )
        return found

    # --- how it is looked at -----------------------------------------------------------------------------------------------------------

    def size(self, width: int, height: int, scale: float = 1) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def prefers(self, scheme: str) -> None:
        """light or dark."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def picture(self, path: Path) -> None:
        self.driver.save_screenshot(str(path))

    # --- what went wrong ---------------------------------------------------------------------------------------------------------------

    def console(self) -> list[str]:
        """What stands in the console since the last look, but for the browser's own notes of connections that failed."""
        every = self.driver.get_log("browser")
        return [entry["message"] for entry in every if entry["source"] != "network"]

    def forget(self) -> None:
        """Begin anew with what console and requests say."""
        self.console()
        self.requests()
        self._requests.clear()

    def requests(self) -> list[str]:
        """The addresses of all requests of the pages since `forget`."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                params = message["params"]
                self._requests.append(params["request"]["url"] if "request" in params else params["url"])
        return list(self._requests)

    def hosts(self) -> set[str]:
        """The hosts of these requests."""
        return {urlsplit(url).netloc for url in self.requests() if urlsplit(url).scheme not in ("data", "blob", "about", "chrome")}

    def axe(self) -> list[str]:
        """What axe-core finds of WCAG 2.2 A and AA and of its best practices, a line each; [] when all is well."""
        # by the debugger, as the page's own policy lets no such script in
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": AXE.read_text()})
        tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {runOnly: arguments[0]}).then(r => done(r.violations.map(v => v.id + ': ' + v.help + ' at '"
            "+ v.nodes.map(n => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).slice(0, 4).join('; '))), e => done([String(e)]))",
            tags,
        )
        return [str(line) for line in found]
