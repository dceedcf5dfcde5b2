"""The description of the service, as a page in a browser that is offline."""

from typing import Any

import pytest

from browsing import find_browser  # the gate
from http_service import serve
from web_page import Guest

pytestmark = pytest.mark.slow


def test_the_description_is_shown_and_tried_without_another_host(chromium: Any) -> None:
    assert find_browser()
    with serve() as (address, process):
        guest = Guest(chromium, address)
        guest.page.goto(f"{address}/docs")
        guest.page.get_by_text("/v1/complete").first.wait_for()
        guest.page.get_by_text("/v1/models").first.click()
        guest.page.get_by_role("button", name="Try it out").click()
        guest.page.get_by_role("button", name="Execute").click()
        guest.page.get_by_text("bedrooms-sharp").first.wait_for()
        guest.context.close()
        process.terminate()
        assert process.wait(60) == 0
    assert guest.complaints == []
