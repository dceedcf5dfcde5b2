"""The service answers what Completer gives, refuses what it should in one line, and ends well, as a process of its own."""

import asyncio
import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import httpx
import numpy as np
import pytest
from PIL import Image

from conftest import draw_room
from http_service import PATIENCE, Halfway, serve
from pixelrnn import Completer
from pixelrnn.decode import read_picture
from pixelrnn.encode import encode_image
from pixelrnn.inference.detection import LEVELS
from pixelrnn.inference.planning import KINDS
from pixelrnn.service.api import create_app
from pixelrnn.service.engine import Engine, Left
from pixelrnn.service.messages import Complete
from pixelrnn.service.settings import Settings
from pixelrnn.weights import bundled_weights
from test_hostile import CORPUS, LARGE, png

TOKEN = "a-token-of-this-test"
OWN = {"Authorization": f"Bearer {TOKEN}"}


def photograph(seed: int, height: int = 96, width: int = 120) -> bytes:
    """A PNG with a black square."""
    room = draw_room(np.random.default_rng(seed), height, width)
    room[30:55, 20 + seed : 45 + seed] = 0
    return encode_image(room)


def masked(height: int = 96, width: int = 120) -> tuple[np.ndarray, bytes]:
    mask = np.zeros((height, width), bool)
    mask[10:40, 50:90] = True
    return mask, encode_image(mask)


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def unpacked(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A service with a token, that reads 1 MB and 1 megapixel."""
    limits = ("--max-megabytes", "1", "--max-megapixels", "1", "--max-samples", "2")
    with serve(*limits, env={**os.environ, "PIXELRNN_TOKEN": TOKEN}) as (address, _):
        yield address


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, headers=OWN, timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="module")
def completer() -> Completer:
    return Completer.from_pretrained()


def test_a_picture_comes_back_as_completer_gives_it(client: httpx.Client, completer: Completer) -> None:
    data = photograph(0)
    answer = client.post("/v1/complete", files={"picture": data})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    expected = completer(data)
    assert expected.mask.any()
    assert answer.content == encode_image(expected.image, ".png", read_picture(data), expected.mask)
    assert np.array_equal(pixels(answer.content)[~expected.mask], pixels(data)[~expected.mask])
    told = {name: answer.headers[f"pixelrnn-{name}"] for name in ("missing", "mask-source", "weights")}
    assert told == {"missing": f"{expected.mask.mean():.6f}", "mask-source": "detected", "weights": "bedrooms-sharp"}


def test_json_tells_all_that_a_completion_holds(client: httpx.Client, completer: Completer) -> None:
    data = photograph(1)
    for how in ({"headers": {"Accept": "application/json"}}, {"data": {"response": "json"}}):
        told = client.post("/v1/complete", files={"picture": data}, **how).json()
        expected = completer(data)
        assert np.array_equal(pixels(unpacked(told["picture"])), expected.image)
        assert np.array_equal(pixels(unpacked(told["mask"])) > 0, expected.mask)
        assert np.abs(pixels(unpacked(told["uncertainty"])) - 255 * expected.uncertainty).max() <= 0.5
        assert [tuple(one["box"]) for one in told["regions"]] == [
            (one.box.left, one.box.top, *one.box.size) for one in expected.regions
        ]
        assert [one["confidence"] for one in told["regions"]] == [round(one.confidence, 4) for one in expected.regions]
        assert (told["width"], told["height"], told["media_type"], told["notes"]) == (120, 96, "image/png", [])


def test_forms_and_json_and_data_urls_are_answered_alike(client: httpx.Client, completer: Completer) -> None:
    data, (mask, file) = photograph(2), masked()
    expected = encode_image(completer(data, mask, grown=2).image)
    text, hole = base64.b64encode(data).decode(), base64.b64encode(file).decode()
    bodies: list[dict[str, Any]] = [
        {"files": {"picture": data, "mask": file}, "data": {"grow": "2", "weights": ""}},
        {"json": {"picture": text, "mask": hole, "grow": 2}},
        {"json": {"picture": f"data:image/png;base64,{text}", "mask": f"data:;base64,{hole}", "grow": 2}},
    ]
    for body in bodies:
        assert client.post("/v1/complete", **body).content == expected


def test_a_mask_may_be_black_and_of_another_size(client: httpx.Client, completer: Completer) -> None:
    data, (mask, _) = photograph(2), masked()
    small = encode_image(~mask[::2, ::2])
    asked = {"invert_mask": "true", "resize_mask": "true"}
    answer = client.post("/v1/complete", files={"picture": data, "mask": small}, data=asked)
    assert np.array_equal(pixels(answer.content), completer(data, mask[::2, ::2], resize_mask=True).image)
    refused = client.post("/v1/complete", files={"picture": data, "mask": small})
    assert refused.status_code == 422
    assert "the mask is 60 x 48, the picture 120 x 96" in refused.json()["detail"]


def test_samples_are_drawn_from_their_seed(client: httpx.Client, completer: Completer) -> None:
    data, (mask, file) = photograph(3), masked()
    asked = {"samples": 2, "seed": 7, "response": "json"}
    told = client.post("/v1/complete", files={"picture": data, "mask": file}, data=asked).json()
    expected = completer(data, mask, samples=2, seed=7)
    for text, sample in zip(told["samples"], expected.samples, strict=True):
        assert np.array_equal(pixels(unpacked(text)), sample)
    assert told["log_likelihood"] == pytest.approx(expected.log_likelihood)
    refused = client.post("/v1/complete", files={"picture": data, "mask": file}, data={"samples": 3})
    assert (refused.status_code, refused.json()["detail"]) == (422, "3 samples: at most 2 are drawn here.")


def test_other_weights_are_asked_for_by_name(client: httpx.Client) -> None:
    data, (mask, file) = photograph(2), masked()
    told = client.get("/v1/models").json()
    assert {one["name"] for one in told["models"]} == set(bundled_weights())
    assert [one["name"] for one in told["models"] if one["default"]] == ["bedrooms-sharp"]
    answer = client.post("/v1/complete", files={"picture": data, "mask": file}, data={"weights": "bedrooms-expected"})
    assert np.array_equal(pixels(answer.content), Completer.from_pretrained("bedrooms-expected")(data, mask).image)


@pytest.mark.parametrize("level", LEVELS)
def test_what_is_found_can_be_sent_back_as_the_mask(level: str, client: httpx.Client, completer: Completer) -> None:
    data = photograph(4)
    told = client.post("/v1/detect", files={"picture": data}, data={"level": level}).json()
    mask, source, found = completer.find(read_picture(data), level)
    assert np.array_equal(pixels(unpacked(told["mask"])) > 0, mask)
    assert (told["mask_source"], told["missing"]) == (source, round(float(mask.mean()), 6))
    assert [one["kept"] for one in told["regions"]] == [one in found.kept for one in found.regions]
    answer = client.post("/v1/complete", files={"picture": data, "mask": unpacked(told["mask"])})
    assert np.array_equal(pixels(answer.content), completer(data, level=level).image)


@pytest.mark.parametrize(
    ("kind", "media_type"), [("png", "image/png"), ("jpg", "image/jpeg"), ("webp", "image/webp"), ("same", "image/jpeg")]
)
def test_what_a_file_says_besides_is_kept_in_every_format(
    kind: str, media_type: str, client: httpx.Client, completer: Completer
) -> None:
    from PIL import ImageCms

    exif, buffer = Image.Exif(), io.BytesIO()
    exif[270], exif[274] = "a bedroom", 6  # to be turned upright
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels(photograph(5))).save(buffer, "JPEG", quality=95, exif=exif, icc_profile=profile)
    data, picture = buffer.getvalue(), read_picture(buffer.getvalue())
    mask, file = masked(120, 96)
    answer = client.post("/v1/complete", files={"picture": data, "mask": file}, data={"format": kind})
    assert answer.headers["content-type"] == media_type
    suffix = ".jpeg" if kind == "same" else f".{kind}"
    assert answer.content == encode_image(completer(picture, mask).image, suffix, picture, mask)
    opened = Image.open(io.BytesIO(answer.content))
    assert opened.size == (96, 120)
    assert opened.info["icc_profile"] == profile
    assert opened.getexif()[270] == "a bedroom"


@pytest.mark.slow
def test_a_hostile_file_costs_one_line_as_a_picture_and_as_a_mask(client: httpx.Client) -> None:
    good = photograph(0)
    for case, (data, reason) in CORPUS.items():
        reason = reason if data else "field required"
        reason = "at most 1 megapixels" if reason == LARGE else reason
        for files in ({"picture": data}, {"picture": good, "mask": data}):
            answer = client.post("/v1/complete", files=files)
            if not data and "mask" in files:  # as a page's form sends what was not chosen
                assert answer.status_code == 200
                continue
            assert (case, answer.status_code) == (case, 422)
            detail = answer.json()["detail"]
            assert reason in detail
            assert "\n" not in detail
            assert detail.startswith("the mask: " if "mask" in files else ("the picture: ", "picture: "))
    assert client.post("/v1/complete", files={"picture": good}).status_code == 200


BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 415, "no content type: expected multipart/form-data or application/json"),
    "a picture alone": ({"content": b"x", "headers": {"Content-Type": "image/png"}}, 415, "image/png: expected"),
    "no JSON": ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 422, "the body: invalid JSON"),
    "deep JSON": ({"content": b"[" * 10**5, "headers": {"Content-Type": "application/json"}}, 422, "the body: invalid JSON"),
    "a list": ({"json": []}, 422, "the body: "),
    "no picture": ({"json": {}}, 422, "picture: field required"),
    "no base64": ({"json": {"picture": "§"}}, 422, "picture: expected base64"),
    "a field misspelt": ({"json": {"picture": "", "wieghts": "a"}}, 422, "wieghts: no such field, did you mean 'weights'?"),
    "a level that is none": ({"json": {"picture": "", "level": "sure"}}, 422, "level: input should be 'strict', 'normal'"),
    "a seed below 0": ({"json": {"picture": "", "seed": -1}}, 422, "seed: input should be greater than or equal to 0"),
    "a form without end": (
        {"content": b"--a\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=a"}},
        422,
        "picture: field required",
    ),
    "a form without a boundary": ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "oundary"),
    "files without number": ({"files": [("picture", b"x")] * 9}, 400, "Too many files"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_not_understood_is_answered_in_one_line(case: str, client: httpx.Client) -> None:
    body, status, reason = BODIES[case]
    answer = client.post("/v1/complete", **body)
    assert (answer.status_code, "\n" in answer.json()["detail"]) == (status, False)
    assert reason in answer.json()["detail"]


def test_more_bytes_than_are_read_are_refused_said_or_not(client: httpx.Client) -> None:
    large = bytes(3 * 2**20)

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(large), 2**16):
            yield large[start : start + 2**16]

    said = client.post("/v1/complete", files={"picture": large})
    unsaid = client.post("/v1/complete", content=pieces(), headers={"Content-Type": "application/json"})
    for answer in (said, unsaid):
        assert answer.status_code == 413
        assert answer.json()["detail"] == "the request is too large: at most 1 MB are read. Send a smaller file."


def test_too_many_pixels_are_refused_before_they_are_decoded(client: httpx.Client) -> None:
    for files in ({"picture": png(40_000, 40_000)}, {"picture": photograph(0), "mask": png(40_000, 40_000)}):
        detail = client.post("/v1/complete", files=files).json()["detail"]
        assert "at most 1 megapixels are read" in detail


STRANGERS = [None, "Bearer", "Bearer other", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"]


@pytest.mark.parametrize("given", STRANGERS)
def test_without_the_token_the_state_and_the_description_alone_are_told(given: str | None, address: str) -> None:
    headers = {} if given is None else {"Authorization": given}
    with httpx.Client(base_url=address, headers=headers, timeout=PATIENCE) as stranger:
        for path in ("/v1/models", "/metrics", "/no-such"):
            answer = stranger.get(path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert stranger.post("/v1/complete", files={"picture": photograph(0)}).status_code == 401
        assert stranger.get("/healthz").json() == stranger.get("/readyz").json() == {"status": "ok"}
        assert stranger.get("/docs").status_code == stranger.get("/openapi.json").status_code == 200


def test_the_page_of_the_description_is_made_of_its_own_files(address: str) -> None:
    with httpx.Client(base_url=address, timeout=PATIENCE) as stranger:
        page = stranger.get("/docs").text
        named = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page)
        assert len(named) >= 3
        assert all(one.startswith("/") and not one.startswith("//") for one in named)
        assert "//" not in page.replace("// ", "")
        assert {stranger.get(one).status_code for one in named} == {200}
        assert stranger.get("/docs/files/%2e%2e/core.py").status_code in (401, 404)


def test_no_path_is_ever_taken_from_a_request(client: httpx.Client, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    own.write_bytes(bundled_weights()["bedrooms-sharp"].read_bytes())
    for name in (str(own), f"../{own.name}", str(bundled_weights()["bedrooms-sharp"]), "bedrooms-sampler", "/etc/passwd"):
        for path in ("/v1/complete", "/v1/detect"):
            answer = client.post(path, files={"picture": photograph(0)}, data={"weights": name})
            assert answer.status_code == 422
            assert answer.json()["detail"].startswith("no such weights")
    (tmp_path / "a.png").write_bytes(photograph(0))
    answer = client.post("/v1/complete", json={"picture": str(tmp_path / "a.png")})
    assert answer.json()["detail"] == "picture: expected base64."


def test_the_examples_of_the_description_are_answered(client: httpx.Client) -> None:
    told = client.get("/openapi.json").json()
    assert told["security"] == [{"token": []}]
    for path in ("/v1/complete", "/v1/detect"):
        content = told["paths"][path]["post"]["requestBody"]["content"]
        assert content["multipart/form-data"]["schema"]["properties"]["picture"]["format"] == "binary"
        schema = told["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        named = set(told["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["properties"])
        for example in content["application/json"]["examples"].values():
            sent = example["value"] | ({"samples": 2} if "samples" in example["value"] else {})
            answer = client.post(path, json=sent, headers={"Accept": "application/json"})
            assert answer.status_code == 200
            assert set(answer.json()) == named


def test_fields_allow_what_the_command_allows() -> None:
    fields = Complete.model_fields
    assert get_args(fields["level"].annotation) == tuple(LEVELS)
    assert get_args(fields["format"].annotation) == KINDS


def test_what_was_answered_is_counted(client: httpx.Client) -> None:
    def counted() -> float:
        lines = client.get("/metrics").text.splitlines()
        assert any(line.startswith("process_resident_memory_bytes") for line in lines)
        assert "pixelrnn_jobs 0.0" in lines
        name = 'pixelrnn_requests_total{path="/v1/detect",status="422"} '
        return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))

    before = counted()
    client.post("/v1/detect", files={"picture": b"rubbish"})
    assert counted() == before + 1


def test_a_full_service_says_when_to_come_again(completer: Completer) -> None:
    data = photograph(6)
    expected = encode_image(completer(data).image)
    with serve("--queue", "1") as (address, _):
        held = [Halfway(address, data) for _ in range(2)]
        wait_until(lambda: "pixelrnn_requests_in_progress 2.0" in httpx.get(f"{address}/metrics").text)
        full = httpx.post(f"{address}/v1/complete", files={"picture": data}, timeout=PATIENCE)
        assert full.status_code == 503
        assert 1 <= int(full.headers["retry-after"]) <= 60
        assert full.json()["detail"] == "too many requests wait already. Try again later."
        assert [one.finish() for one in held] == [(200, expected)] * 2
        assert httpx.post(f"{address}/v1/complete", files={"picture": data}, timeout=PATIENCE).content == expected


def wait_until(true: Callable[[], bool]) -> None:
    """Ask again and again."""
    for _ in range(600):
        if true():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it never came true")


def test_time_that_a_request_may_take_is_limited() -> None:
    large = encode_image(np.tile(draw_room(np.random.default_rng(0), 200, 200), (20, 20, 1)))
    with serve("--timeout", "0.2") as (address, _):
        assert Halfway(address, photograph(0)).answer()[0] == 408
        answer = httpx.post(f"{address}/v1/complete", files={"picture": large}, timeout=PATIENCE)
        assert answer.status_code == 504
        assert answer.json()["detail"].startswith("not done within 0.2 s.")
        assert httpx.get(f"{address}/readyz").status_code == 200


def blocked(seconds: float) -> tuple[Engine, threading.Event]:
    """An engine whose one thread waits for an event."""
    engine, door = Engine(Settings(seconds=seconds)), threading.Event()
    engine.queue.submit(lambda job: door.wait())
    return engine, door


def test_work_that_has_not_begun_in_time_leaves_the_queue() -> None:
    engine, door = blocked(0.1)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(create_app(engine))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.post("/v1/complete", files={"picture": photograph(0)})

    answer = asyncio.run(ask())
    assert (answer.status_code, engine.queue.length()) == (503, 1)
    assert answer.json()["detail"] == "not begun within 0.1 s. Try again later."
    assert int(answer.headers["retry-after"]) >= 1
    door.set()
    engine.queue.close()


def test_work_that_nobody_waits_for_leaves_the_queue() -> None:
    engine, door = blocked(PATIENCE)
    body = json.dumps({"picture": base64.b64encode(photograph(0)).decode()}).encode()
    received, sent = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}], []
    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/v1/complete", "headers": headers, "query_string": b""}

    async def receive() -> Any:
        return received.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(create_app(engine)(scope, receive, send))
    assert (sent[0]["status"], engine.queue.length()) == (499, 1)
    door.set()
    engine.queue.close()


def test_samples_that_nobody_waits_for_are_not_drawn_to_the_end() -> None:
    class Leaving:
        """A job that is left while its samples are drawn: it is asked three times before."""

        asked = 0

        @property
        def left(self) -> bool:
            self.asked += 1
            return self.asked > 3

    engine, (_, file) = Engine(Settings()), masked()
    work = engine.complete(Complete(picture=photograph(0), mask=file, samples=2), as_json=True)
    with pytest.raises(Left):
        work(Leaving())
    engine.queue.close()


def test_a_signal_lets_it_finish_what_it_has_begun(completer: Completer) -> None:
    data = photograph(7)
    with serve() as (address, process):
        held = Halfway(address, data)
        wait_until(lambda: "pixelrnn_requests_in_progress 1.0" in httpx.get(f"{address}/metrics").text)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 503)
        new = httpx.post(f"{address}/v1/complete", files={"picture": data}, timeout=PATIENCE)
        assert (new.status_code, new.json()["detail"]) == (503, "the service is stopping. Try again later.")
        assert int(new.headers["retry-after"]) > 0
        assert httpx.get(f"{address}/healthz").status_code == 200
        assert held.finish() == (200, encode_image(completer(data).image))
        assert process.wait(PATIENCE) == 0


def test_a_second_signal_ends_it_at_once() -> None:
    with serve() as (address, process):
        held = Halfway(address, photograph(7))
        wait_until(lambda: "pixelrnn_requests_in_progress 1.0" in httpx.get(f"{address}/metrics").text)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: httpx.get(f"{address}/readyz").status_code == 503)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM
        held.socket.close()


def test_an_idle_service_ends_by_a_signal_with_exit_code_zero() -> None:
    with serve() as (_, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


@pytest.mark.slow
def test_one_that_was_killed_leaves_nothing_and_starts_again(tmp_path: Path, completer: Completer) -> None:
    data = photograph(8)
    expected = encode_image(completer(data).image)
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with serve(env=environment) as (address, process):
        port = int(address.rpartition(":")[2])
        held = Halfway(address, photograph(8, 1500, 1500))  # more than is kept in memory
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(httpx.post, f"{address}/v1/complete", files={"picture": data}) for _ in range(4)]
            process.kill()
            for one in asked:
                error = one.exception()
                assert isinstance(error, httpx.TransportError) or one.result().content == expected
        process.wait(PATIENCE)
        held.socket.close()
    assert list(tmp_path.iterdir()) == []
    with serve(port=port, env=environment) as (again, _):
        assert again == address
        assert httpx.post(f"{again}/v1/complete", files={"picture": data}, timeout=PATIENCE).content == expected


@pytest.mark.slow
def test_two_hundred_requests_of_ten_clients_are_all_answered_right(completer: Completer) -> None:
    pictures = [photograph(seed, 60 + 8 * seed, 150 - 6 * seed) for seed in range(10)]
    expected = [encode_image(completer(data).image) for data in pictures]

    def ask(number: int) -> list[bool]:
        with httpx.Client(base_url=address, timeout=PATIENCE) as client:
            order = np.random.default_rng(number).permutation(20) % len(pictures)
            return [client.post("/v1/complete", files={"picture": pictures[i]}).content == expected[i] for i in order]

    with serve("--workers", "2") as (address, _), ThreadPoolExecutor(10) as clients:
        assert sum(sum(right) for right in clients.map(ask, range(10))) == 200


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pixelrnn", "serve", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **environment})


@pytest.mark.slow
def test_what_cannot_be_served_is_one_line_and_exit_code_two(address: str, tmp_path: Path) -> None:
    for name in ("a/own.onnx", "b/own.onnx", "bedrooms-sharp.onnx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"rubbish")
    first, second, third = (str(tmp_path / name) for name in ("a/own.onnx", "b/own.onnx", "bedrooms-sharp.onnx"))
    cases = {
        ("--port", address.rpartition(":")[2]): "Choose another --address or --port",
        ("--port", "0", "--address", "no.such.address.invalid"): "cannot listen on no.such.address.invalid",
        ("--port", "0", "--weights", str(tmp_path / "none.onnx")): "no such weights",
        ("--port", "0", "--weights", first): "damaged",
        ("--port", "0", "--weights", first, "--weights", second): "two weights called own",
        ("--port", "0", "--weights", third): "bedrooms-sharp is the name of bundled weights",
        ("--port", "0", "--token", " "): "--token: expected",
    }
    for words, reason in cases.items():
        done = run(*words)
        assert done.returncode == 2
        lines = done.stderr.splitlines()
        assert (len(lines), reason in lines[-1]) == (1, True), done.stderr
