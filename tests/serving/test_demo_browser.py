"""The page in a real browser: Chromium without a window, where it is there.

Screenshots go to the folder that KGPM_SCREENSHOTS names, else to the test's
own; KGPM_SCREENSHOTS_EXPORT names the export of a grey model to show instead of
the small one.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.serving.test_demo_images import png
from tests.serving.test_demo_images import rgba

pytest.importorskip("selenium")

from selenium import webdriver  # noqa: E402
from selenium.webdriver import ActionChains  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")
# The machine may be busy with other tests.
SECONDS = 60
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1280,900",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and CHROMEDRIVER),
        reason="needs chromium and chromedriver",
    ),
]


@pytest.fixture
def program(small_export, tmp_path):
    """The running program: its address and its process."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    export_dir = os.environ.get("KGPM_SCREENSHOTS_EXPORT", small_export)
    with open(tmp_path / "err", "w+b") as err:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "kgpm.demo"),
                *(f"--export_dir={export_dir}", f"--port={port}"),
            ],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=err,
            text=True,
        )
        try:
            # Ends with the process, if that ends first.
            line = process.stdout.readline()
            err.seek(0)
            address = f"http://127.0.0.1:{port}"
            assert address in line, err.read().decode()
            yield address, process, err
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for option in (*OPTIONS, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options, Service(CHROMEDRIVER))
    try:
        yield Tab(driver, tmp_path)
    finally:
        driver.quit()


class Tab:
    """What a user sees and does."""

    def __init__(self, driver, folder):
        self.driver = driver
        self.folder = Path(os.environ.get("KGPM_SCREENSHOTS", folder))

    def open(self, address):
        self.driver.get(address)
        self.until(lambda: self.all("#kgpm-examples .tile"))
        self.until(lambda: self.all("#kgpm-pad canvas"))

    def until(self, condition):
        wait = WebDriverWait(self.driver, SECONDS)
        return wait.until(lambda driver: condition())

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector):
        return self.driver.execute_script(
            "return document.querySelector(arguments[0])?.innerText || ''",
            selector,
        )

    def click(self, selector, index=0):
        element = self.all(selector)[index]
        self.driver.execute_script(
            "arguments[0].scrollIntoView({block: 'center'})", element
        )
        element.click()

    def click_until(self, selector, said, sentence):
        """Clicks a button once and waits for what is said."""
        self.click(selector)
        self.until(lambda: sentence in self.text(said))

    def draw(self, selector):
        """One stroke across a sketch pad."""
        (canvas,) = self.all(f"{selector} canvas")
        actions = ActionChains(self.driver)
        actions.move_to_element_with_offset(canvas, -50, -60)
        actions.click_and_hold().move_by_offset(90, 10)
        actions.move_by_offset(-60, 110).release().perform()

    def upload(self, path):
        (chooser,) = self.all("input[type=file]")
        # A driver adds to what is chosen, a user's choice takes its place.
        self.driver.execute_script("arguments[0].value = ''", chooser)
        chooser.send_keys(str(path))

    def type(self, selector, text):
        field = self.all(f"{selector} input")[0]
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(text, Keys.TAB)

    def images(self, selector):
        # At once: the page may change between two questions.
        return self.driver.execute_script(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((image) => image.src)",
            f"{selector} img",
        )

    def read_again(self, button, selector, number):
        """Clicks until there are that many images, others than before."""
        before = self.images(selector)
        self.click(button)
        self.until(
            lambda: (
                len(self.images(selector)) == number
                and self.images(selector) != before
            )
        )
        return self.images(selector)

    def width(self):
        return self.driver.execute_script(
            "return document.documentElement.scrollWidth"
        )

    def screenshot(self, name):
        """The whole page, at the width that a user has."""
        assert self.width() <= 1280
        height = self.driver.execute_script(
            "return document.documentElement.scrollHeight"
        )
        size = {"width": 1280, "height": max(height, 900)}
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {**size, "deviceScaleFactor": 1, "mobile": False},
        )
        time.sleep(0.5)
        path = self.folder / f"{name}.png"
        assert self.driver.save_screenshot(str(path))
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    def requests(self):
        """Addresses on a network that the browser asked."""
        logs = self.driver.get_log("performance")
        messages = [json.loads(entry["message"])["message"] for entry in logs]
        urls = [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in urls if url.startswith(("http", "ws"))]


def test_a_user_tries_a_model(program, browser, tmp_path):
    address, process, err = program
    tab = browser
    tab.open(address)
    assert "GPM of kgpm" in tab.text("body")
    assert len(tab.all(".kgpm-part h2")) == 4
    tab.screenshot("1_opened")

    # Mistakes are sentences.
    nothing = "Nothing is written yet"
    tab.click_until("#kgpm-read", "#kgpm-read-said", nothing)
    tab.click_until("#kgpm-generate", "#kgpm-drawn-said", nothing)
    tab.click_until("#kgpm-write", "#kgpm-written", "No image is picked")
    tab.click_until("#kgpm-add", "#kgpm-added", "Nothing is drawn")
    bad = tmp_path / "notes.png"
    bad.write_text("no image")
    tab.upload(bad)
    tab.until(lambda: "notes.png cannot be read" in tab.text("#kgpm-added"))
    tab.screenshot("2_mistakes")

    # Pick, draw, upload.
    for index in (0, 1, 2, 4, 9, 1):
        tab.click("#kgpm-examples .tile", index)
    assert "4 of 40 picked" in tab.text("#kgpm-examples")
    tab.draw("#kgpm-pad")
    tab.click_until("#kgpm-add", "#kgpm-added", "1 image added and picked")
    tab.until(lambda: "5 of 41 picked" in tab.text("#kgpm-examples"))
    good = tmp_path / "cross.png"
    good.write_bytes(png(rgba(255 * (np.eye(24) + np.eye(24)[::-1] > 0))))
    tab.upload(good)
    tab.until(lambda: "6 of 42 picked" in tab.text("#kgpm-examples"))

    # Write.
    tab.click_until("#kgpm-write", "#kgpm-written", "6 images written")
    assert "numbers." in tab.text("#kgpm-written")
    tab.until(lambda: len(tab.all("#kgpm-queries .tile")) == 6)
    assert "1 of 6 picked" in tab.text("#kgpm-queries")
    tab.click("#kgpm-memory summary")

    # Read: a query, eight steps and the nearest image for each that is picked.
    one = tab.read_again("#kgpm-read", "#kgpm-reads", 10)
    assert "pixels differ from the written image, no. 1" in tab.text(
        "#kgpm-read-said"
    )
    tab.click("#kgpm-queries .tile", 3)
    two = tab.read_again("#kgpm-read", "#kgpm-reads", 20)
    assert two[:10] == one
    assert "mean of 2" in tab.text("#kgpm-read-said")
    tab.type("#kgpm-read-steps", "4")
    four = tab.read_again("#kgpm-read", "#kgpm-reads", 12)
    assert four[:5] == one[:5]
    tab.type("#kgpm-noise-seed", "7")
    assert tab.read_again("#kgpm-read", "#kgpm-reads", 12)[0] != one[0]
    tab.click("#kgpm-kind input")
    tab.until(lambda: tab.all("#kgpm-kind [role=option]"))
    options = [option.text for option in tab.all("#kgpm-kind [role=option]")]
    block = next(i for i, text in enumerate(options) if "block" in text)
    tab.click("#kgpm-kind [role=option]", block)
    tab.until(lambda: "pixels" in tab.text("#kgpm-level"))
    tab.read_again("#kgpm-read", "#kgpm-reads", 12)

    # Generate: the same seed gives the same images.
    drawn = tab.read_again("#kgpm-generate", "#kgpm-draws", 4 * 9)
    tab.screenshot("3_written_read_generated")
    tab.type("#kgpm-draw-seed", "3")
    tab.read_again("#kgpm-generate", "#kgpm-draws", 4 * 9)
    tab.type("#kgpm-draw-seed", "0")
    assert tab.read_again("#kgpm-generate", "#kgpm-draws", 4 * 9) == drawn

    # Every pixel a crisp square, enlarged.
    picture = tab.all("#kgpm-reads img")[0]
    assert picture.value_of_css_property("image-rendering") == "pixelated"
    assert 80 <= picture.size["width"] == picture.size["height"] <= 90

    # A drawing as the query.
    tab.click("#kgpm-query input", 1)
    tab.until(lambda: tab.all("#kgpm-query-pad canvas"))
    tab.until(lambda: tab.all("#kgpm-query-pad canvas")[0].is_displayed())
    tab.draw("#kgpm-query-pad")
    tab.type("#kgpm-read-steps", "16")
    tab.read_again("#kgpm-read", "#kgpm-reads", 18)
    assert "from the nearest written image" in tab.text("#kgpm-read-said")
    tab.screenshot("4_drawing_read")

    # What was read from an older memory goes when another is written.
    tab.click("#kgpm-examples .tile", 0)
    tab.click_until("#kgpm-write", "#kgpm-written", "5 images written")
    tab.until(lambda: not tab.images("#kgpm-reads"))
    assert not tab.images("#kgpm-draws")

    # Another user has nothing of this.
    tab.driver.switch_to.new_window("tab")
    tab.open(address)
    assert "0 of 40 picked" in tab.text("#kgpm-examples")
    tab.click_until("#kgpm-read", "#kgpm-read-said", nothing)

    # Nobody else is asked for anything.
    asked = tab.requests()
    assert asked and {url.split("/")[2] for url in asked} == {
        address.split("/")[2]
    }

    # It ends while pages are open, and says nothing.
    process.send_signal(signal.SIGTERM)
    assert process.wait(SECONDS) == 0
    assert process.stdout.read() == ""
    err.seek(0)
    assert err.read() == b""
