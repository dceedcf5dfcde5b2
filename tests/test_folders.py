"""Folders of pictures: what is read, what is left out and said to be, where results go, and which mask is whose."""

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from pixelrnn import PixelRNNError, decode, folders
from pixelrnn.data.pairs import find_pairs
from pixelrnn.encode import write_image
from pixelrnn.folders import MaskFolder, find_images, left_out, list_images, list_photographs
from pixelrnn.inference.planning import plan

TINY = np.zeros((4, 5, 3), np.uint8)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with photos/."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.JPG", "inner/c.webp", "d.jfif", "e.avif"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(TINY).save(path, "JPEG" if name == "d.jfif" else None)
    return tmp_path


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_suffixes_of_any_case_are_read_and_all_else_is_counted(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "suffixes", lambda: folders.SUFFIXES)  # as without pillow-heif
    for name in ("x.heic", "y.HEIC", "z.jp2", "notes.txt", "README", ".hidden.png"):
        (place / "photos" / name).write_bytes(b"")
    (place / "photos" / ".cache").mkdir()
    write_image(place / "photos" / ".cache" / "f.png", TINY)
    found, left = find_images(place / "photos")
    assert names(found) == ["a.png", "b.JPG", "d.jfif", "e.avif", "c.webp"]
    assert dict(left) == {".heic": 2, ".jp2": 1, ".txt": 1, "without suffix": 1}
    assert left_out(left) == "left out: 2 .heic, 1 .jp2, 1 .txt, 1 without suffix. pip install 'pixelrnn[heic]' reads HEIC."
    assert left_out(type(left)()) == ""


def test_a_folder_without_pictures_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.jp2").write_bytes(b"")
    with pytest.raises(PixelRNNError, match=r"no pictures in this folder. Expected files ending in \.jpg.*It has 1 \.jp2"):
        list_images(tmp_path)


@pytest.mark.parametrize("out", ["photos/done", "photos/inner/done", "./photos/../photos/done"])
def test_what_was_written_is_never_read_however_deep_it_lies(place: Path, out: str) -> None:
    for _ in range(3):
        planned = plan([Path("photos")], Path(out), overwrite=True)
        assert len(planned.todo) == 5
        for _, target in planned.todo:
            write_image(target, TINY)
    assert len(plan([Path("photos")], Path(out), overwrite=False, skip_existing=True).done) == 5


def test_outputs_is_no_input_either(place: Path) -> None:
    for _ in range(2):
        planned = plan([Path()], None, overwrite=True)
        assert sorted(names([path for path, _ in planned.todo])) == ["a.png", "b.JPG", "c.webp", "d.jfif", "e.avif"]
        for _, target in planned.todo:
            write_image(target, TINY)
    assert Path("outputs/photos/inner/c.png").is_file()


def test_what_training_wrote_and_pairs_that_were_made_are_no_photographs(place: Path) -> None:
    write_image(place / "photos" / "run" / "epoch_001.png", TINY)
    (place / "photos" / "run" / "optimized_pixelrnn.pth").write_bytes(b"")
    write_image(place / "photos" / "pairs" / "train" / "occluded_images" / "occluded_a_1.jpg", TINY)
    write_image(place / "photos" / "pairs" / "occluded_test" / "occluded_a_2.jpg", TINY)
    write_image(place / "photos" / "out" / "epoch_001.png", TINY)  # of a run that is not done
    assert names(list_photographs(place / "photos", place / "photos" / "out")) == [
        "a.png",
        "b.JPG",
        "d.jfif",
        "e.avif",
        "c.webp",
    ]
    assert names(list_photographs(place / "photos" / "run", None)) == ["epoch_001.png"]  # where it is asked for
    assert {"occluded_a_1.jpg", "epoch_001.png"} <= set(names(list_images(place / "photos")))  # to be completed they may be


@pytest.mark.parametrize("spelt", [("occluded_images", "original_images"), ("Occluded_Images", "ORIGINAL_images")])
def test_a_folder_beside_that_of_pairs_names_the_one_to_give(place: Path, spelt: tuple[str, str]) -> None:
    data = place / "archive" / "data"
    for part in spelt:
        write_image(data / "train" / part / f"{part.lower().removesuffix('_images')}_1.jpg", TINY)
    write_image(data / "occluded_test" / "occluded_2.jpg", TINY)
    assert len(find_pairs(data)) == 1
    for given in ("archive", "archive/data/train", "archive/data/occluded_test", *(f"archive/data/train/{p}" for p in spelt)):
        with pytest.raises(PixelRNNError, match=rf"^{given}: .*Give \S*archive/data, the folder"):
            list_photographs(Path(given), None)
    assert len(list_photographs(data / "train" / spelt[1], None, originals=True)) == 1  # to make other pairs of
    with pytest.raises(PixelRNNError, match="one half of pairs"):
        list_photographs(data / "train" / spelt[0], None, originals=True)


def test_halves_of_pairs_without_train_say_where_they_belong(place: Path) -> None:
    write_image(place / "photos" / "occluded_images" / "occluded_a_1.jpg", TINY)
    with pytest.raises(PixelRNNError, match=r"Move it and its other half into \S*photos/train, and give \S*photos\.$"):
        list_photographs(place / "photos", None)


def test_names_that_moved_are_still_imported_from_where_they_were() -> None:
    from pixelrnn.image import read_picture
    from pixelrnn.image import write_image as write

    assert (read_picture, write) == (decode.read_picture, write_image)
    with pytest.raises(ImportError):
        from pixelrnn.image import nothing  # noqa: F401


def test_the_format_of_outputs_is_as_asked_for_or_the_pictures_own(place: Path) -> None:
    def written(kind: str) -> list[str]:
        return names([target for _, target in plan([Path("photos")], Path("done"), overwrite=False, kind=kind).todo])

    assert written("png") == ["a.png", "b.png", "d.png", "e.png", "c.png"]
    assert written("webp") == ["a.webp", "b.webp", "d.webp", "e.webp", "c.webp"]
    assert written("same") == ["a.png", "b.jpg", "d.jfif", "e.avif", "c.webp"]
    with pytest.raises(PixelRNNError, match="--format gif: expected png, jpg, webp, same"):
        written("gif")


def test_a_file_without_a_place_is_numbered_or_overwritten_as_asked(place: Path) -> None:
    write_image(Path("outputs/a_completed.png"), TINY)
    (numbered,) = plan([Path("photos/a.png")], None, overwrite=False).todo
    (replaced,) = plan([Path("photos/a.png")], None, overwrite=True).todo
    assert numbered[1] == Path("outputs/a_completed_2.png")
    assert replaced[1] == Path("outputs/a_completed.png")


@pytest.mark.parametrize("name", ["a.png", "a_mask.png", "a_mask001.png", "mask_a.png", "a.JPG"])
def test_a_mask_is_found_by_the_names_that_programs_give_it(place: Path, name: str) -> None:
    write_image(place / "masks" / "other.png", TINY)
    Image.fromarray(TINY).save(place / "masks" / name)
    assert MaskFolder(place / "masks").of(Path("photos/a.png"), Path()).name == name


def test_the_exact_name_goes_before_others_and_two_others_are_an_error(place: Path) -> None:
    for name in ("a_mask001.png", "a_mask002.png"):
        write_image(place / "masks" / name, TINY)
    with pytest.raises(PixelRNNError, match=r"a\.png: 2 masks named a in .*, expected one"):
        MaskFolder(place / "masks").of(Path("photos/a.png"), Path())
    write_image(place / "masks" / "a.png", TINY)
    assert MaskFolder(place / "masks").of(Path("photos/a.png"), Path()).name == "a.png"
    with pytest.raises(PixelRNNError, match="0 masks named b"):
        MaskFolder(place / "masks").of(Path("photos/b.JPG"), Path())


def test_a_mask_lies_as_deep_as_its_picture_or_directly_in_the_folder(place: Path) -> None:
    write_image(place / "masks" / "c.png", TINY)
    assert MaskFolder(place / "masks").of(Path("photos/inner/c.webp"), Path("inner")) == place / "masks" / "c.png"
    write_image(place / "masks" / "inner" / "c.png", TINY)
    assert MaskFolder(place / "masks").of(Path("photos/inner/c.webp"), Path("inner")) == place / "masks" / "inner" / "c.png"


def test_a_folder_of_masks_is_listed_once_for_all_pictures(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(300):
        (place / "masks").mkdir(exist_ok=True)
        (place / "masks" / f"{number}.png").write_bytes(b"")
    listed = []
    walk = folders.os.walk
    monkeypatch.setattr(folders.os, "walk", lambda *given: listed.append(given) or walk(*given))
    masks = MaskFolder(place / "masks")
    for number in range(300):
        assert masks.of(Path(f"photos/{number}.png"), Path()).stem == str(number)
    assert len(listed) == 1


def test_heic_is_read_where_its_reader_is_installed(tmp_path: Path) -> None:
    assert ".heic" in folders.suffixes()
    pillow_heif.from_pillow(Image.fromarray(np.full((64, 80, 3), 120, np.uint8))).save(tmp_path / "a.heic", quality=90)
    assert np.abs(decode.read_picture(tmp_path / "a.heic").pixels.astype(int) - 120).max() <= 3
