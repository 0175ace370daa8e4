"""A real Chromium without a window, driven with Selenium; and whether there is one."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--window-size=1280,900",
)

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")


def missing() -> str:
    """Returns what is not installed, or an empty string."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium"
    return "" if CHROMIUM and CHROMEDRIVER else "chromium and chromedriver"


@contextlib.contextmanager
def running() -> Iterator[Any]:
    """Starts a browser with an empty profile, which logs all requests, and ends it."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options, Service(CHROMEDRIVER))
        try:
            yield driver
        finally:
            driver.quit()


def show_as(
    driver: Any, width: int = 1280, height: int = 900, *, dark: bool = False, still: bool = False
) -> None:
    """Gives the browser a size in pixels, and a dark scheme or the wish for no motion if asked."""
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = {"prefers-color-scheme": "dark" if dark else "light"}
    features |= {"prefers-reduced-motion": "reduce" if still else "no-preference"}
    media = {"features": [{"name": name, "value": value} for name, value in features.items()]}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", media)


def requested(driver: Any) -> list[str]:
    """Returns the addresses of all requests since the last call, without those of data."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    urls = [event["request"]["url"] for event in sent]
    return [url for url in urls if not url.startswith(("data:", "blob:", "chrome"))]


def complaints(driver: Any) -> list[str]:
    """Returns what pages have written to the console as errors since the last call."""
    return [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"]
