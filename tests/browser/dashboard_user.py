"""Somebody who looks at the dashboard: opens pages, reads, clicks and types, and waits for what is to appear."""

from dataclasses import dataclass, field
from typing import Any, cast

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.support.deadline import eventually

#: Seconds within which what is waited for has to be seen.
PATIENCE = 15.0
#: What can be clicked and has this text, in a question before the page, and there before the navigation.
_CLICKABLE = """
    const found = ["dialog[open] ", "main ", ""].flatMap((place) =>
        [...document.querySelectorAll(`${place}button, ${place}a, ${place}summary`)]);
    return found.find((element) => element.checkVisibility() && element.textContent.trim() === arguments[0])
"""
#: Timers that run four times as fast.
_HURRY = "const usual = setTimeout; window.setTimeout = (work, delay) => usual(work, delay / 4);"


@dataclass(frozen=True, slots=True)
class Tab:
    """A tab of a browser, and what its console may complain of while it is open."""

    driver: WebDriver
    expected: list[str] = field(default_factory=list)

    def complaints(self) -> list[str]:
        """What nobody expected since this was last asked: errors, warnings, violations of a page's policy."""
        found = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] != "DEBUG"]
        return [said for said in found if not any(text in said for text in self.expected)]


class DashboardUser:
    """Looks at the bus on this port of a host, in a tab of a browser."""

    def __init__(self, tab: Tab, port: int, host: str = "localhost") -> None:
        self.tab, self.driver = tab, tab.driver
        self.origin = f"http://{host}:{port}"

    # Looking

    def open(self, path: str) -> None:
        """Open a page, and wait until it has loaded."""
        self.driver.get(self.origin + path)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str = "main") -> str:
        """What can be read in the first such element; nothing where there is none."""
        return cast(str, self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def count(self, selector: str) -> int:
        """How many such elements there are."""
        return cast(int, self.run("return document.querySelectorAll(arguments[0]).length", selector))

    def see(self, text: str, selector: str = "main") -> None:
        """Wait until this can be read there."""
        eventually(lambda: text in self.text(selector), PATIENCE, f"{text!r} was not to be read in {selector}")

    def miss(self, text: str, selector: str = "main") -> None:
        """Wait until this cannot be read there any more."""
        eventually(lambda: text not in self.text(selector), PATIENCE, f"{text!r} was still to be read in {selector}")

    def focused(self) -> str:
        """What has the focus: its id, else its text, else its tag."""
        script = "const at = document.activeElement; return at.id || at.textContent.trim().slice(0, 60) || at.tagName"
        return cast(str, self.run(script))

    def expect(self, *statuses: int) -> None:
        """Let the console complain of answers with these statuses."""
        self.tab.expected.extend(f"responded with a status of {status}" for status in statuses)

    # Doing

    def click(self, name: str) -> None:
        """Click the button or link with this text, as soon as it is there."""
        eventually(lambda: self._clicked(name), PATIENCE, f"there was no {name!r} to click")

    def find(self, selector: str) -> WebElement:
        """The first such element."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def fill(self, selector: str, text: str) -> None:
        """Type a text into a field instead of what was in it."""
        self.find(selector).clear()
        self.find(selector).send_keys(text)

    def press(self, *keys: str) -> None:
        """Press keys, one after the other, on what has the focus."""
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    # How it looks

    def hurry(self) -> None:
        """Let pages that are opened from now on renew themselves sooner than they say, so that less is waited for."""
        self.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": _HURRY})

    def dark(self) -> None:
        """Prefer dark colours, as a system can be set."""
        self._prefer("dark")

    def window(self, width: int, height: int) -> None:
        """Look through a window of this size, in pixels."""
        self._measure(width, height, deviceScaleFactor=1, mobile=False)

    def phone(self) -> None:
        """Look through a telephone 360 pixels wide."""
        self._measure(360, 760, deviceScaleFactor=2, mobile=True)

    def usual(self) -> None:
        """Look as at the start again: light, through a window."""
        self._prefer("light")
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def _clicked(self, name: str) -> bool:
        element = self.run(_CLICKABLE, name)
        try:
            return element is not None and element.click() is None
        except StaleElementReferenceException:
            return False  # replaced in between by a newer one

    def _measure(self, width: int, height: int, **screen: Any) -> None:
        size = {"width": width, "height": height, **screen}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def _prefer(self, scheme: str) -> None:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
