"""The page in a real browser: a server of its own, Debian's Chromium, and a visit that does what a person does."""

import io
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b64decode
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
UPLOADER = "[data-testid=stFileUploader] input[type=file]"
PATIENCE = 60_000  # ms; on a busy machine everything takes long
expect.set_options(timeout=PATIENCE)


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
        self.page.locator(UPLOADER).first.wait_for(state="attached")

    def upload(self, *files: tuple[str, bytes]) -> None:
        payload = [{"name": name, "mimeType": "image/png", "buffer": data} for name, data in files]
        self.page.locator(UPLOADER).first.set_input_files(payload)

    @property
    def brush(self) -> Locator:
        """The photograph under the brush, or the result where that alone is in sight."""
        return self.page.locator(".stage:visible").first

    @property
    def state(self) -> Locator:
        """What the editor says."""
        return self.page.locator(".state span")

    def choose(self, name: str) -> None:
        """A tool, or a view."""
        label = self.page.locator(".editor label").filter(has=self.page.get_by_text(name, exact=True))
        label.locator("input").check(force=True)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def seen(self) -> dict[str, float]:
        """Where the photograph is on its stage: its size in pixels, the scale, and the place of its corner."""
        self.page.locator(".editor[data-ready=true]").wait_for()
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return {name: float(value) for name, value in self.brush.evaluate("stage => ({ ...stage.dataset })").items()}

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a place of the photograph, in shares of its sides, is in the window."""
        box, seen = self.brush.bounding_box(), self.seen()
        assert box is not None
        return (
            box["x"] + seen["x"] + x * seen["width"] * seen["scale"],
            box["y"] + seen["y"] + y * seen["height"] * seen["scale"],
        )

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

    def pinch(self, start: list[tuple[float, float]], end: list[tuple[float, float]]) -> None:
        """Two fingers, from and to places of the window."""
        touch = self.context.new_cdp_session(self.page)
        for share in np.linspace(0, 1, 6):
            points = [
                {"x": x + share * (to_x - x), "y": y + share * (to_y - y), "id": number}
                for number, ((x, y), (to_x, to_y)) in enumerate(zip(start, end, strict=True))
            ]
            kind = "touchMove" if share else "touchStart"
            if not share:
                touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points[:1]})
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def wheel(self, x: float, y: float, by: float) -> None:
        """Turn the wheel over a place of the photograph."""
        self.page.mouse.move(*self.point(x, y))
        self.page.mouse.wheel(0, by)

    def tint(self) -> np.ndarray:
        """What the brush shows as missing, bool, for each pixel of the photograph."""
        seen, drawn = self.seen(), self._canvas(".stage canvas.tint")[..., 3] > 127
        ratio = self.page.evaluate("devicePixelRatio")
        columns, rows = (
            np.floor((seen[corner] + (np.arange(int(seen[side])) + 0.5) * seen["scale"]) * ratio).astype(int)
            for corner, side in (("x", "width"), ("y", "height"))
        )
        return drawn[np.clip(rows, 0, drawn.shape[0] - 1)[:, None], np.clip(columns, 0, drawn.shape[1] - 1)]

    def pixels(self, pane: str = "done") -> np.ndarray:
        """What a pane shows, RGB (H, W, 3), at its canvas' own resolution."""
        self.seen()
        return self._canvas(f".{pane} canvas.picture")[..., :3]

    def _canvas(self, selector: str) -> np.ndarray:
        """RGBA (H, W, 4), by way of a PNG: numbers one by one would take seconds."""
        url = self.page.locator(selector).evaluate("canvas => canvas.toDataURL()")
        return decode(b64decode(url.partition(",")[2]))

    def wait_for(self, text: str) -> None:
        expect(self.page.get_by_text(text).first).to_be_visible()

    def wait_until(self, state: str) -> None:
        """Wait for a state of the editor: opening, busy, fresh, marked or empty."""
        self.page.locator(f".editor[data-state={state}]").wait_for()
        self.wait_for_rest()

    def wait_for_completion(self) -> None:
        self.wait_until("fresh")

    def complete(self) -> None:
        """Press Complete, and wait until what is marked is filled in."""
        self.press("Complete")
        self.wait_for_completion()

    def wait_for_answer(self, what: str = "answer") -> None:
        """Wait, no longer than need be, for the server's answer, for a "sharp" picture or a "fresh" result."""
        script = """(editor, what) => new Promise((done) => {
            const look = () => {
                const { asked, answered, sharp, state } = editor.dataset;
                if ({ answer: asked === answered, sharp: sharp === "true", fresh: state === "fresh" }[what]) done();
                else requestAnimationFrame(look);
            };
            look();
        })"""
        self.page.locator(".editor").evaluate(script, what)

    def wait_for_rest(self) -> None:
        """Wait until the page draws nothing any more."""
        self.page.locator("[data-test-script-state=notRunning]").wait_for(state="attached")

    def download(self, name: str) -> bytes:
        """Press the first download button of this name. Again where the press fell between a run's end and the page
        showing its new button, whose predecessor Streamlit no longer knows."""
        tries = 4
        while True:
            self.wait_for_rest()
            try:
                with self.page.expect_download(timeout=PATIENCE / 4) as waiting:
                    self.page.get_by_role("button", name=name, exact=True).first.click()
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
