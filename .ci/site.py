"""Read the built site as people do, in Chromium, and see that it asks no other host: site.py SITE."""

import importlib.util
import shutil
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import expect, sync_playwright


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


site = Path(sys.argv[1])
assert importlib.util.find_spec("torch") is None, "the site is to be built without torch"
server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
threading.Thread(target=server.serve_forever, daemon=True).start()
home = f"http://127.0.0.1:{server.server_port}/"
pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
with sync_playwright() as playwright:
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    page = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"]).new_page()
    asked: set[str] = set()
    failed: list[str] = []
    page.on("request", lambda request: asked.add(request.url))
    page.on("response", lambda response: response.status < 400 or failed.append(response.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    for name in pages:
        if name != "404.html":
            page.goto(home + name, wait_until="networkidle")
            expect(page.locator("h1").first).to_be_visible()
    page.goto(home + "reference.html")
    for told in ("Completer", "from_pretrained", "push_to_hub", "write_image", "read_recipe"):
        expect(page.locator(".md-content").get_by_text(told).first).to_be_visible()
    page.goto(home + "index.html")
    page.get_by_placeholder("Search").first.fill("blurred")
    page.locator(".md-search-result__link").filter(has_text="Why is it blurred").first.click()
    expect(page.get_by_role("heading", name="Why is it blurred")).to_be_visible()
abroad = sorted(url for url in asked if not url.startswith((home, "data:", "blob:")))
assert not abroad, abroad
assert not failed, failed
print(f"{len(pages)} pages of the documentation, {len(asked)} requests, none to another host")
