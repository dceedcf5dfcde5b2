"""The page in a real browser: a server of its own, Debian's Chromium, and a visit that does what a person does."""

import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect, sync_playwright

ROOT = Path(__file__).parents[1]
# for a network that is closed: Chromium by itself asks several hosts for news
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
PATIENCE = 60_000  # ms; on a busy machine everything takes long


def find_browser() -> str | None:
    """Chromium's executable, if there is one on the path."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def serve(*options: str) -> Iterator[tuple[str, int]]:
    """The page on a free port of this machine: its address and its process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless", "true", "--server.port", str(port)]
    address = f"http://localhost:{port}"
    with subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()
                    break
                except OSError:
                    if process.poll() is not None:
                        raise RuntimeError(f"the page's server ended with {process.returncode}") from None
                    time.sleep(0.1)
            yield address, process.pid
        finally:
            process.terminate()


@contextmanager
def launch() -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """One person on the page. `complaints`: errors in the console, and requests to other hosts."""

    def __init__(self, browser: Browser, address: str, width: int = 1280, height: int = 800, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.context.set_default_timeout(PATIENCE)
        self.page: Page = self.context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        home = (address, address.replace("http", "ws"), "data:", "blob:")
        self.page.on("request", lambda request: request.url.startswith(home) or self.complaints.append(request.url))
        self.page.goto(address)
        self.page.locator("input[type=file]").first.wait_for(state="attached")

    def upload(self, *files: tuple[str, bytes]) -> None:
        payload = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files]
        self.page.locator("input[type=file]").first.set_input_files(payload)

    @property
    def brush(self) -> Locator:
        """The photograph under the brush."""
        return self.page.locator(".stage:has(canvas)")

    def choose(self, tool: str) -> None:
        """A tool of the brush, or a view of the completion."""
        self.page.locator("label", has_text=tool).locator("input[type=radio]").check(force=True)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the photograph, in shares of its sides, is in the window."""
        box = self.brush.bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def drag(self, *places: tuple[float, float]) -> None:
        """A stroke with the mouse over places of the photograph."""
        self.brush.scroll_into_view_if_needed()
        self.page.mouse.move(*self.point(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.point(*place), steps=6)
        self.page.mouse.up()

    def swipe(self, *places: tuple[float, float]) -> None:
        """A stroke with a finger."""
        self.brush.scroll_into_view_if_needed()
        touch = self.context.new_cdp_session(self.page)
        kinds = ["touchStart", *["touchMove"] * (len(places) - 1)]
        for kind, (x, y) in zip(kinds, (self.point(*place) for place in places), strict=True):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def tint(self) -> np.ndarray:
        """What the brush shows as missing, bool, at the canvas' resolution."""
        script = """canvas => {
            const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return [height, width, Array.from({ length: width * height }, (_, i) => data[4 * i + 3] > 127 ? 1 : 0)];
        }"""
        height, width, alpha = self.page.locator(".stage canvas").evaluate(script)
        return np.array(alpha, bool).reshape(height, width)

    def wait_for(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=PATIENCE)

    def wait_for_completion(self) -> None:
        self.wait_for("completed in")
        self.wait_for_rest()

    def complete(self) -> None:
        """Press Complete, and wait until what is marked is filled in."""
        button = self.page.get_by_role("button", name="Complete", exact=True)
        button.click()
        expect(button).to_be_disabled(timeout=PATIENCE)
        self.wait_for_rest()
        self.wait_for_completion()

    def wait_for_rest(self) -> None:
        """Wait until the page draws nothing any more."""
        self.page.locator("[data-test-script-state=notRunning]").wait_for(state="attached")

    def download(self, name: str) -> bytes:
        """Press a download button; again where the press fell between a run's end and the page showing its new button, whose
        predecessor Streamlit no longer knows."""
        tries = 4
        while True:
            self.wait_for_rest()
            try:
                with self.page.expect_download(timeout=PATIENCE / 4) as waiting:
                    self.page.get_by_role("button", name=name).click()
                return Path(waiting.value.path()).read_bytes()
            except TimeoutError:
                tries -= 1
                if not tries:
                    raise

    def close(self) -> None:
        self.context.close()


def encode(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def decode(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)))


def in_ci() -> bool:
    return bool(os.environ.get("CI"))
