"""The page of `web/` in a real browser: its folder built once, handed out by Python's own server, and one person on it."""

import os
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, Page, Route

from browser import PATIENCE, ROOT, decode


def build(folder: Path) -> Path:
    """The page in a new folder."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # python3 is this one
    subprocess.run([str(ROOT / "web" / "build"), str(folder)], check=True, env=os.environ | {"PATH": path})
    return folder


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


class _Isolated(_Quiet):
    """With what browsers ask for before a page may use threads."""

    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()


@contextmanager
def hand_out(folder: Path, isolated: bool = False) -> Iterator[str]:
    """The folder on a free port of this machine: its address."""
    handler = partial(_Isolated if isolated else _Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


class Guest:
    """One person on the page, who is offline but for it. `complaints`: errors, and requests to other hosts."""

    def __init__(self, browser: Browser, address: str, width: int = 1280, height: int = 900, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.context.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.address = address
        self.context.route("**/*", self._let_through)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))

    def _let_through(self, route: Route) -> None:
        if route.request.url.startswith((self.address, "data:", "blob:")):
            route.continue_()
        else:
            self.complaints.append(route.request.url)
            route.abort()

    def come(self) -> "Guest":
        self.page.goto(self.address)
        self.wait()
        return self

    def wait(self) -> str:
        """Until nothing is done any more: what the page says then."""
        self.page.locator("body[data-state=idle]").wait_for()
        return self.page.locator("#status").inner_text()

    def give(self, field: str, name: str, data: bytes) -> str:
        """Choose a `file` or a `mask`: what the page says once it is done with it."""
        file = {"name": name, "mimeType": "application/octet-stream", "buffer": data}
        self.page.locator(f"#{field}").set_input_files([file])
        return self.wait()

    def press(self, name: str) -> str:
        self.page.get_by_role("button", name=name, exact=True).click()
        return self.wait()

    def download(self) -> np.ndarray:
        with self.page.expect_download() as waiting:
            self.press("Download PNG")
        assert waiting.value.suggested_filename.endswith("_completed.png")
        return decode(Path(waiting.value.path()).read_bytes())

    def marked(self) -> np.ndarray:
        """bool (H, W), what is marked as missing."""
        url = self.page.locator("#tint").evaluate("(canvas) => canvas.toDataURL()")
        return np.asarray(decode(b64decode(url.partition(",")[2]))[..., 3] > 0)

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Of the window, where the photograph has these shares of its sides."""
        box = self.page.locator("#stage").bounding_box()
        assert box is not None
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def swipe(self, *places: tuple[float, float]) -> None:
        """A stroke with a finger."""
        self.page.locator("#stage").scroll_into_view_if_needed()
        touch = self.context.new_cdp_session(self.page)
        for number, place in enumerate(places):
            x, y = self.place(*place)
            kind = "touchMove" if number else "touchStart"
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def drag(self, *places: tuple[float, float]) -> None:
        """A stroke with the mouse."""
        self.page.locator("#stage").scroll_into_view_if_needed()
        self.page.mouse.move(*self.place(*places[0]))
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*self.place(*place), steps=6)
        self.page.mouse.up()
