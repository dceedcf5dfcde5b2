"""`pixelrnn complete` with the bundled weights: its flags, what it keeps of a file, and that a killed run loses nothing."""

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from skimage import data

from pixelrnn import Completer
from pixelrnn.cli import main
from pixelrnn.data.synthetic import render_bedroom
from pixelrnn.decode import read_image, read_picture
from pixelrnn.encode import write_image
from pixelrnn.image import dilate
from running import Background

SIDE, BOX = 128, (30, 50, 38, 38)  # x, y, width, height
GIVEN = ("--mask", ",".join(map(str, BOX)))
HOLE = np.zeros((SIDE, SIDE), bool)
HOLE[BOX[1] : BOX[1] + BOX[3], BOX[0] : BOX[0] + BOX[2]] = True


@pytest.fixture(scope="module")
def room():
    """uint8 (SIDE, SIDE, 3), nowhere black."""
    return np.maximum(render_bedroom(np.random.default_rng(302), SIDE), 2)


@pytest.fixture
def place(tmp_path, monkeypatch, room):
    """A folder to stand in, with the room as a.png and with a black square as occluded.png."""
    monkeypatch.chdir(tmp_path)
    write_image(Path("a.png"), room)
    write_image(Path("occluded.png"), np.where(HOLE[..., None], np.uint8(0), room))
    return tmp_path


def photos(sources: dict[str, str]) -> None:
    """A folder of that name with files by their names, each a copy of another."""
    Path("photos").mkdir()
    for name, source in sources.items():
        Path("photos", name).write_bytes(Path(source).read_bytes())


@pytest.fixture
def complete(monkeypatch, capfd):
    """Run the command; gives (exit code, what it printed, what it printed as errors)."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["pixelrnn", "complete", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capfd.readouterr())

    return run


def test_a_box_on_the_command_line_is_filled_and_nothing_else(place, complete, room):
    code, said, _ = complete("a.png", "-o", "b.png", *GIVEN)
    assert code == 0
    assert "8.8% missing, given" in said
    after = read_image("b.png")
    np.testing.assert_array_equal(after[~HOLE], room[~HOLE])
    assert (after[HOLE] != room[HOLE]).any(axis=1).mean() > 0.5


@pytest.mark.parametrize("box", ["100,100,60,10", "0,0,0,5", "1,2,3", "1,2,3,x"])
def test_a_box_that_is_none_or_lies_elsewhere_is_refused(box, place, complete):
    code, _, errors = complete("a.png", "-o", "b.png", "--mask", box)
    assert code == 2
    assert errors.count("\n") == 1
    assert box in errors
    assert not Path("b.png").exists()


def test_grow_fills_so_many_pixels_more(place, complete, room):
    assert complete("a.png", "-o", "b.png", *GIVEN, "--grow", 5)[0] == 0
    changed, larger = (read_image("b.png") != room).any(axis=2), dilate(HOLE, 5)
    assert not changed[~larger].any()
    assert changed[larger & ~HOLE].mean() > 0.3


def test_a_second_run_completes_what_is_missing_and_leaves_the_rest_alone(place, complete):
    photos(dict.fromkeys(("a.png", "b.png", "c.png"), "occluded.png"))
    assert complete("photos", "-o", "done")[0] == 0
    Path("done/b.png").unlink()
    before = {path: path.stat().st_mtime_ns for path in Path("done").iterdir()}
    code, said, _ = complete("photos", "-o", "done", "--skip-existing", "--json")
    assert code == 0
    assert [json.loads(line)["path"] for line in said.splitlines()] == ["photos/b.png"]
    assert Path("done/b.png").exists()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    code, said, _ = complete("photos", "-o", "done", "--skip-existing")
    assert (code, said) == (0, "all 3 were done\n")
    assert complete("photos", "-o", "done")[0] == 2  # and neither overwrites without being told


def test_json_is_one_line_a_picture_and_a_bad_file_gives_exit_code_1(place, complete):
    photos({"found.png": "occluded.png", "whole.png": "a.png"})
    Path("photos/bad.jpg").write_text("not a picture")
    code, said, errors = complete("photos", "-o", "done", "--json")
    assert (code, errors) == (1, "")
    told = {Path(one["path"]).name: one for one in map(json.loads, said.splitlines())}
    assert set(told) == {"bad.jpg", "found.png", "whole.png"}
    assert "photos/bad.jpg: not a picture" in told["bad.jpg"]["error"]
    found, whole = told["found.png"], told["whole.png"]
    assert (found["width"], found["height"], found["error"], found["mask_source"]) == (SIDE, SIDE, None, "detected")
    assert found["missing"] == pytest.approx(HOLE.mean(), rel=0.15)
    assert found["output"] == "done/found.png"
    (region,) = [one for one in found["regions"] if one["kept"]]
    rows, columns = np.nonzero(HOLE)
    left, top, width, height = region["box"]
    assert left <= columns.min() < columns.max() < left + width <= SIDE
    assert top <= rows.min() < rows.max() < top + height <= SIDE
    assert region["pixels"] == pytest.approx(HOLE.sum(), rel=0.15)
    assert 0.6 <= region["confidence"] <= 1
    assert whole["missing"] == 0
    assert not any(one["kept"] for one in whole["regions"])
    for one in told.values():
        assert one["seconds"] >= 0


def test_an_image_with_nothing_missing_is_returned_unchanged(place, complete, room):
    code, said, _ = complete("a.png", "-o", "b.png", "--detect", "strict")
    assert code == 0
    assert said.startswith("b.png  (nothing painted over was found")
    assert "--mask" in said
    assert "pixelrnn app" in said
    assert said.count("\n") == 1
    np.testing.assert_array_equal(read_image("b.png"), room)


def test_the_summary_says_how_much_was_found_in_how_many_regions_and_where(place, complete):
    code, said, _ = complete("occluded.png", "-o", "b.png")
    assert code == 0
    assert re.search(r"b\.png  \((8\.\d|9(\.\d)?)% missing, detected: 1 region of \d+ x \d+ at \d+,\d+\)", said)


def test_the_summary_of_a_folder_says_in_how_many_nothing_was_found(place, complete):
    photos({"a.png": "a.png", "b.png": "occluded.png"})
    code, said, _ = complete("photos", "-o", "done", "--detect", "strict")
    assert code == 0
    assert "2 of 2 pictures completed in done; in 1 nothing was missing, so they are unchanged" in said


def test_how_sure_a_find_must_be_is_one_of_three_words(place, complete):
    code, _, errors = complete("a.png", "-o", "b.png", "--detect", "sloppy")
    assert code == 2
    assert "--detect sloppy: expected strict, normal, eager" in errors
    assert not Path("b.png").exists()


def test_a_picture_that_is_missing_as_a_whole_is_an_error(place, complete):
    code, _, errors = complete("a.png", "-o", "b.png", "--mask", f"0,0,{SIDE},{SIDE}")
    assert code == 2
    assert "whole picture is missing" in errors


def test_a_mask_of_another_size_names_both(place, complete):
    write_image(Path("mask.png"), np.ones((3, 4), bool))
    code, _, errors = complete("a.png", "-o", "b.png", "--mask", "mask.png")
    assert code == 2
    assert f"the mask is 4 x 3, the picture {SIDE} x {SIDE}" in errors


def test_masks_in_a_folder_are_found_by_relative_path_or_by_name(place, complete, room):
    for name in ("photos/inner", "masks/inner"):
        Path(name).mkdir(parents=True)
    other = np.roll(HOLE, 40, axis=1)
    for name in ("a", "inner/a", "inner/b", "c"):
        write_image(Path(f"photos/{name}.png"), room)
    for name, mask in (("a", HOLE), ("inner/a", other), ("b", other)):
        write_image(Path(f"masks/{name}.png"), mask)
    code, said, errors = complete("photos", "-o", "done", "--mask", "masks")
    assert code == 1
    assert "3 of 4" in said
    assert "photos/c.png: 0 masks named c in masks, expected one" in errors
    for name, mask in (("a", HOLE), ("inner/a", other), ("inner/b", other)):
        changed = (read_image(f"done/{name}.png") != room).any(axis=2)
        assert changed[mask].mean() > 0.5
        assert not changed[~mask].any()


def test_both_engines_agree_to_one_grey_level(place, complete):
    for backend in ("onnx", "torch"):
        assert complete("occluded.png", "-o", f"{backend}.png", "--backend", backend)[0] == 0
    one, other = (read_image(f"{backend}.png").astype(int) for backend in ("onnx", "torch"))
    assert np.abs(one - other).max() <= 1
    code, _, errors = complete("occluded.png", "-o", "c.png", "--backend", "tvm")
    assert code == 2
    assert "expected auto, onnx or torch" in errors


def test_transparent_pixels_are_missing_and_opaque_once_they_are_filled(place, complete, room):
    alpha = np.where(HOLE, np.uint8(0), np.uint8(255))
    alpha[:4] = 200  # half seen is known, and stays so
    Image.fromarray(np.dstack([room, alpha])).save("clear.png")
    code, said, _ = complete("clear.png", "-o", "b.png")
    assert code == 0
    assert "8.8% missing, transparent" in said
    with Image.open("b.png") as after:
        assert after.mode == "RGBA"
        pixels = np.asarray(after)
    np.testing.assert_array_equal(pixels[..., 3], np.where(HOLE, 255, alpha))
    np.testing.assert_array_equal(pixels[~HOLE, :3], room[~HOLE])
    assert complete("clear.png", "-o", "b.jpg")[0] == 0  # which has no transparency


def test_grey_stays_grey(place, complete, room):
    grey = Image.fromarray(room).convert("L")
    grey.save("grey.png")
    assert complete("grey.png", "-o", "b.png", *GIVEN)[0] == 0
    with Image.open("b.png") as after:
        assert after.mode == "L"
        np.testing.assert_array_equal(np.asarray(after)[~HOLE], np.asarray(grey)[~HOLE])


def test_sixteen_bits_are_reduced_to_eight_and_the_summary_says_so(place, complete, room):
    grey = np.asarray(Image.fromarray(room).convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save("deep.png")
    code, said, _ = complete("deep.png", "-o", "b.png", *GIVEN)
    assert code == 0
    assert "16 bits a channel were reduced to 8" in said
    np.testing.assert_array_equal(read_image("b.png")[~HOLE][:, 0], grey[~HOLE])


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_exif_and_colour_profile_are_kept_and_the_orientation_is_applied(suffix, place, complete, room):
    exif, profile = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Make] = 6, "a camera"
    Image.fromarray(room).save("turned.png", exif=exif, icc_profile=profile)
    assert complete("turned.png", "-o", f"b{suffix}", *GIVEN)[0] == 0
    upright = np.rot90(room, -1)
    with Image.open(f"b{suffix}") as after:
        assert after.getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert after.getexif()[ExifTags.Base.Make] == "a camera"
        assert after.info["icc_profile"] == profile
    pixels = read_image(f"b{suffix}").astype(int)
    assert np.abs(pixels[~HOLE] - upright[~HOLE]).max() <= (40 if suffix == ".jpg" else 0)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".gif"])
def test_every_format_is_completed_and_its_known_pixels_kept(suffix, place, complete, room):
    source = Path(f"in{suffix}")
    Image.fromarray(room).save(source)
    assert complete(source, "-o", "b.png", *GIVEN)[0] == 0
    np.testing.assert_array_equal(read_image("b.png")[~HOLE], read_image(source)[~HOLE])


def test_a_small_occlusion_in_a_large_picture_is_found_to_the_pixel():
    large = np.asarray(Image.fromarray(data.chelsea()).resize((2000, 1500), Image.Resampling.BICUBIC)).copy()
    large = np.clip(large + np.random.default_rng(0).normal(0, 4, large.shape), 1, 255).astype(np.uint8)
    mask = np.zeros(large.shape[:2], bool)
    mask[703:763, 1201:1271] = True
    large[mask] = 0
    found = Completer.from_pretrained().detect(large).tinted
    assert (found & mask).sum() > 0.99 * mask.sum()
    assert (found & ~mask).sum() < 0.05 * mask.sum()


@pytest.mark.slow
def test_a_killed_run_leaves_whole_files_alone_and_is_gone_on_with(tmp_path, room):
    photos, done = tmp_path / "photos", tmp_path / "done"
    occluded = np.where(HOLE[..., None], np.uint8(0), room)
    for i in range(60):
        write_image(photos / f"{i:02}.png", np.roll(occluded, i, axis=1))
    command = [sys.executable, "-m", "pixelrnn", "complete", str(photos), "-o", str(done)]
    runs = 0
    while runs < 4 and (not done.is_dir() or len(list(done.glob("*.png"))) < 50):
        finished = len(list(done.glob("*.png"))) if done.is_dir() else 0
        running = subprocess.Popen([*command, "--skip-existing"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 120
        while time.monotonic() < end and running.poll() is None:
            if done.is_dir() and len(list(done.glob("*.png"))) >= finished + 3 + 4 * runs:
                break
            time.sleep(0.003)
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        runs += 1
        for path in done.glob("*.png"):
            assert read_picture(path).pixels.shape == (SIDE, SIDE, 3)
    before = {path: path.stat().st_mtime_ns for path in done.glob("*.png")}
    assert before
    subprocess.run([*command, "--skip-existing"], check=True, stdout=subprocess.DEVNULL)
    assert {path.name for path in done.glob("*.png")} == {f"{i:02}.png" for i in range(60)}
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not [path for path in done.iterdir() if path.suffix != ".png" and not path.name.startswith(".")]


def test_each_sample_is_written_to_a_file_of_its_own(place, complete, room):
    code, said, _ = complete("a.png", "-o", "b.png", *GIVEN, "--samples", 3, "--seed", 2)
    assert code == 0
    assert said.count("log-likelihood") == 3
    expected = Completer.from_pretrained()(room, BOX, samples=3, seed=2)
    for name, sample in zip(("b.png", "b_sample2.png", "b_sample3.png"), expected.samples, strict=True):
        np.testing.assert_array_equal(read_image(name), sample)
    code, _, complaint = complete("a.png", "-o", "b.png", *GIVEN, "--samples", 3)
    assert code == 2
    assert "b.png: exists already" in complaint
    Path("b.png").unlink()
    code, _, complaint = complete("a.png", "-o", "b.png", *GIVEN, "--samples", 3)
    assert code == 2
    assert "b_sample2.png: exists already" in complaint


def test_json_tells_the_log_likelihoods_from_the_highest_on(place, complete):
    _, said, _ = complete("a.png", "-o", "b.png", *GIVEN, "--samples", 2, "--json")
    one, two = json.loads(said)["log_likelihood"]
    assert one > two
    _, said, _ = complete("a.png", "-o", "c.png", *GIVEN, "--json")
    assert json.loads(said)["log_likelihood"] is None


def test_standard_input_is_completed_to_standard_output(place, room):
    command = [sys.executable, "-m", "pixelrnn", "complete", "-", *GIVEN]
    given = Path("a.png").read_bytes()
    for more, form in (((), "PNG"), (("-o", "-", "--format", "jpg"), "JPEG"), (("--format", "same"), "PNG")):
        done = subprocess.run([*command, *more], input=given, capture_output=True, check=True)
        with Image.open(io.BytesIO(done.stdout)) as opened:
            assert opened.format == form
            if form == "PNG":
                np.testing.assert_array_equal(np.asarray(opened)[~HOLE], room[~HOLE])
    done = subprocess.run([*command, "-o", "b.png"], input=given, capture_output=True, check=True)
    assert done.stdout == b""
    assert read_image("b.png").shape == room.shape
    done = subprocess.run(command, input=b"no picture", capture_output=True, text=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"standard input: not a picture" in done.stderr


def test_a_dry_run_lists_what_would_be_done_and_does_nothing(place, complete):
    photos(dict.fromkeys(("a.png", "b.png"), "a.png"))
    code, said, _ = complete("photos", "-o", "done", "--dry-run")
    assert (code, said) == (0, "photos/a.png -> done/a.png\nphotos/b.png -> done/b.png\n")
    assert not Path("done").exists()


def test_files_that_are_left_out_of_a_folder_are_counted(place, complete):
    photos(dict.fromkeys(("a.png", "c.jp2", "d.jp2", "e.txt"), "a.png"))
    code, _, errors = complete("photos", "-o", "done", *GIVEN)
    assert (code, errors) == (0, "left out: 2 .jp2, 1 .txt.\n")


def test_masks_are_inverted_resized_and_guided_as_asked(place, complete, room):
    write_image(Path("inverted.png"), ~HOLE)
    write_image(Path("small.png"), HOLE[::2, ::2])
    write_image(Path("guide.png"), np.full((32, 32, 3), (10, 200, 10), np.uint8))
    for words in (("--mask", "inverted.png", "--invert-mask"), ("--mask", "small.png", "--resize-mask")):
        code, said, _ = complete("a.png", "-o", "b.png", "--overwrite", *words)
        assert code == 0
        assert "8.8% missing, given" in said
        changed = (read_image("b.png") != room).any(axis=2)
        assert not changed[~HOLE].any()
        assert changed[HOLE].mean() > 0.5
    code, said, _ = complete("a.png", "-o", "b.png", "--overwrite", "--mask", "inverted.png")
    assert "91.2% of the mask is white; if black is missing, give --invert-mask" in said
    assert complete("a.png", "-o", "c.png", *GIVEN, "--guide", "guide.png")[0] == 0
    inside = read_image("c.png")[HOLE].mean(axis=0)
    assert inside[1] > inside[0] + 60


def wait_for_the_first() -> None:
    """Until a run in the background has written a picture to done/."""
    end = time.monotonic() + 60
    while not list(Path("done").glob("*.png")) and time.monotonic() < end:
        time.sleep(0.01)


def test_ctrl_c_says_how_far_a_run_came(place):
    photos(dict.fromkeys((f"{number:03}.png" for number in range(200)), "a.png"))
    running = Background("photos", "-o", "done", *GIVEN)
    wait_for_the_first()
    running.interrupt()
    code, _, errors = running.wait()
    assert code == 130
    assert re.search(r"stopped: \d+ of 200 pictures completed", errors)
    assert "Traceback" not in errors


@pytest.mark.parametrize("threads", ["", "4,2", "2 ", "abc", "-1"])
def test_any_word_for_the_number_of_threads_is_taken(place, threads):
    environment = os.environ | {"OMP_NUM_THREADS": threads}
    command = [sys.executable, "-m", "pixelrnn", "complete", "a.png", "-o", "b.png", *GIVEN]
    subprocess.run(command, env=environment, check=True, capture_output=True)


def test_a_reader_that_has_enough_of_what_is_printed_ends_it_quietly(place):
    photos(dict.fromkeys((f"{number:03}.png" for number in range(30)), "a.png"))
    command = f"{sys.executable} -m pixelrnn complete photos -o done --mask {GIVEN[1]} --json | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert json.loads(done.stdout)["error"] is None
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_full_disk_costs_one_line_and_leaves_nothing_half_written(place):
    photos(dict.fromkeys(("a.png", "b.png"), "a.png"))
    command = [sys.executable, "-m", "pixelrnn", "complete", "photos", "-o", "done", *GIVEN]
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (1000, 1000))  # no file may grow beyond
    done = subprocess.run(command, preexec_fn=full, capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [line.split(": ")[:2] for line in done.stderr.splitlines()] == [
        ["error", "done/a.png"],
        ["error", "done/b.png"],
    ]
    assert not list(Path("done").iterdir())


def test_a_picture_that_vanishes_during_a_run_is_told_and_stops_no_other(place):
    photos(dict.fromkeys((f"{number:03}.png" for number in range(60)), "a.png"))
    command = [sys.executable, "-m", "pixelrnn", "complete", "photos", "-o", "done", *GIVEN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        wait_for_the_first()
        Path("photos/059.png").unlink()
        said, errors = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "59 of 60 pictures completed" in said
    assert errors == "error: photos/059.png: no such file. Check the path.\n"
