from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from skimage import data as photographs

from deblur.errors import DeblurError
from deblur.train import build_parser
from deblur.training.data import read_sources
from deblur.training.recordings import is_recording, shift_of_frames
from deblur.training.sources import Source, files_of, parse_source

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def film(folder: Path, names: list[str], speed: int = 4, seed: int = 0) -> Path:
    """Frames of a camera that pans by ``speed`` pixels a frame over a photograph turned by ``seed`` quarters."""
    folder.mkdir(parents=True)
    still = np.rot90(photographs.astronaut(), seed)
    for place, name in enumerate(names):
        Image.fromarray(still[90:230, 30 + speed * place : 230 + speed * place]).save(folder / f"{name}.png")
    return folder


def unrelated(folder: Path, names: list[str]) -> Path:
    folder.mkdir(parents=True)
    for seed, name in enumerate(names):
        grains = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(grains).resize((180, 120), Image.Resampling.BICUBIC).save(folder / f"{name}.png")
    return folder


def numbers(count: int, step: int = 1) -> list[str]:
    return [f"{step * place:06}" for place in range(1, count + 1)]


def options_of(*words: str) -> argparse.Namespace:
    return build_parser().parse_args(["--val-blur", "shake:8", "--val-side", "48", *words])


def trained(sources: list[Source]) -> set[Path]:
    return {file for source in sources for file in files_of(source.examples)}


@pytest.mark.parametrize(
    ("make", "names", "is_one"),
    [
        (film, numbers(8), True),
        (film, numbers(8, 7), False),
        (film, [f"GOPR0384_11_00_{name}" for name in numbers(8)], True),
        (film, [f"{scene}_{name}" for scene in ("a1", "b2") for name in numbers(4)], False),
        (film, numbers(1), False),
        (unrelated, numbers(8), False),
        (unrelated, [f"IMG_{name}" for name in numbers(8)], False),
    ],
)
def test_a_recording_is_told_by_names_and_neighbours(
    tmp_path: Path, make: Callable[[Path, list[str]], Path], names: list[str], is_one: bool
) -> None:
    assert is_recording(parse_source("sharp", str(make(tmp_path / "pictures", names)))) == is_one


def test_of_several_recordings_whole_ones_are_held_out(tmp_path: Path) -> None:
    folders = [film(tmp_path / part / "sharp", numbers(6), seed=seed) for seed, part in enumerate(("a1", "b2", "c3"))]
    photos = unrelated(tmp_path / "photos", numbers(20))
    notes: list[str] = []
    given = options_of("--sharp", *map(str, folders), f"{photos}=2", "--hold-out", "0.3")
    sources, (validated,) = read_sources(given, notes.append)
    kept = trained(sources)
    (gone,) = (folder for folder in folders if not kept & set(folder.iterdir()))
    assert kept > {file for folder in folders if folder != gone for file in folder.iterdir()}
    assert [source.weight for source in sources] == [1, 1, 2]
    assert notes == [
        f"--hold-out sets aside whole recordings, as 3 folders of --sharp look like one each: {gone}",
    ]
    names = [key for key in validated.keys if key.startswith(f"{gone.parent.name}/sharp/")]
    assert len(names) == 6
    assert len(kept & set(photos.iterdir())) == 14


@pytest.mark.parametrize("seed", range(4))
def test_of_parts_of_recordings_whole_recordings_are_held_out(tmp_path: Path, seed: int) -> None:
    parts = ("GOPR0372_07_00", "GOPR0372_07_01", "GOPR0384_11_00", "GOPR0384_11_01")
    folders = [film(tmp_path / part / "sharp", numbers(6), seed=place) for place, part in enumerate(parts)]
    notes: list[str] = []
    given = options_of("--sharp", *map(str, folders), "--hold-out", "0.3", "--seed", str(seed))
    kept = trained(read_sources(given, notes.append)[0])
    gone = [folder.parent.name for folder in folders if not kept & set(folder.iterdir())]
    assert len(gone) == 2
    assert gone[0][:-1] == gone[1][:-1]
    (note,) = notes
    assert note.startswith("--hold-out sets aside whole recordings")


def test_folders_that_are_numbered_under_one_word_are_no_parts_of_one_recording(tmp_path: Path) -> None:
    names = ("clip_1", "clip_2", "video_1", "video_2")
    folders = [film(tmp_path / name, numbers(6), seed=place) for place, name in enumerate(names)]
    given = options_of("--sharp", *map(str, folders), "--hold-out", "0.05")
    kept = trained(read_sources(given, print)[0])
    assert sum(not kept & set(folder.iterdir()) for folder in folders) == 1


@pytest.mark.parametrize("weight", ["", "=3"])
def test_a_folder_that_is_all_validated_on_is_left_out_beside_others(tmp_path: Path, weight: str) -> None:
    folders = [film(tmp_path / part / "sharp", numbers(6), seed=seed) for seed, part in enumerate(("a1", "b2", "c3"))]
    notes: list[str] = []
    given = ["--sharp", *(f"{folder}{weight}" for folder in folders), "--val-sharp", str(folders[1]), "--hold-out", "0"]
    sources, (validated,) = read_sources(options_of(*given), notes.append)
    assert [source.folder for source in sources] == [folders[0], folders[2]]
    assert len(validated.pairs) == 6
    assert notes == [f"{folders[1]}: all of it is validated on, so it is left out of what is trained on"]
    with pytest.raises(DeblurError, match=rf"^{folders[0]}: all of it is validated on; give other pictures"):
        read_sources(options_of(*given[: 1 + 3], "--val-sharp", *map(str, folders), "--hold-out", "0"), notes.append)


def test_of_parts_of_one_recording_some_are_held_out_and_that_is_told(tmp_path: Path) -> None:
    folders = [film(tmp_path / f"GOPR0372_07_0{part}/sharp", numbers(6), seed=part) for part in range(3)]
    notes: list[str] = []
    kept = trained(read_sources(options_of("--sharp", *map(str, folders), "--hold-out", "0.3"), notes.append)[0])
    assert sum(not kept & set(folder.iterdir()) for folder in folders) == 1
    assert "pictures of the scene GOPR0372, by their names, are both trained and validated on" in notes[1]


def test_a_recording_by_itself_is_cut_and_that_is_told(tmp_path: Path) -> None:
    folder = film(tmp_path / "walk", numbers(10))
    notes: list[str] = []
    (source,), (validated,) = read_sources(options_of("--sharp", str(folder), "--hold-out", "0.2"), notes.append)
    assert (len(source.examples), len(validated.pairs)) == (8, 2)
    (note,) = notes
    assert note.startswith(f"{folder}: --hold-out sets aside 2 of 10 pictures of what looks like one recording")
    assert read_sources(options_of("--sharp", str(folder), "--hold-out", "0"), notes.append)[1] == []
    assert notes == [note]


@pytest.mark.parametrize(
    ("option", "place", "names"),
    [
        ("--frames", "videos/GOPR0384_11_00", numbers(6)),
        ("--frames", "GOPR0384_11_00/sharp", numbers(6)),
        ("--sharp", "GOPR0384_11_00/sharp", numbers(6)),
        ("--sharp", "parts/GOPR0384_11_00", numbers(6)),
        ("--sharp", "flat", [f"GOPR0384_11_00_{name}" for name in numbers(6)]),
        ("--pairs", "GOPR0384_11_00/sharp", numbers(6)),
    ],
)
@pytest.mark.parametrize("validated", ["--val-pairs", "--val-sharp"])
def test_scenes_of_every_source_are_compared_with_all_that_is_validated_on(
    tmp_path: Path, option: str, place: str, names: list[str], validated: str
) -> None:
    folder = film(tmp_path / place, names)
    other = [f"GOPR0384_11_05_{name}" for name in numbers(2)]
    for seed, side in enumerate(("sharp", "blur"), start=1):
        film(tmp_path / "other" / side, other, seed=seed)
    if option == "--pairs":
        film(folder.with_name("blur"), names, seed=3)
    named = folder.parent if option == "--pairs" or place.startswith(("videos", "parts")) else folder
    held = tmp_path / "other" / ("sharp" if validated == "--val-sharp" else "")
    notes: list[str] = []
    given = options_of(option, str(named), validated, str(held), "--hold-out", "0")
    read_sources(given, notes.append)
    assert [note for note in notes if note.startswith("pictures of the scene GOPR0384, by their names, are both")]


def test_folders_that_are_called_what_all_are_called_name_no_scene(tmp_path: Path) -> None:
    notes: list[str] = []
    for place in ("one/train/sharp", "two/train/sharp", "three/images", "four/images"):
        unrelated(tmp_path / place, [f"{place[0]}{name}" if "images" in place else name for name in numbers(5, 9)])
    trained_on, held = (
        [str(tmp_path / place) for place in places]
        for places in (("one/train/sharp", "three/images"), ("two/train/sharp", "four/images"))
    )
    for file in [file for folder in held for file in Path(folder).iterdir()]:
        Image.fromarray(255 - np.asarray(Image.open(file))).save(file)
    read_sources(options_of("--sharp", *trained_on, "--val-sharp", *held, "--hold-out", "0"), notes.append)
    assert notes == []


@pytest.mark.parametrize(("one", "two", "told"), [("reds", "reds", False), ("GOPR0384_11_00", "GOPR0384_11_05", True)])
def test_a_folder_of_pairs_that_only_count_names_a_recording_but_no_data_set(
    tmp_path: Path, one: str, two: str, told: bool
) -> None:
    for seed, (part, side) in enumerate(itertools.product((f"train/{one}", f"val/{two}"), ("blur", "sharp"))):
        film(tmp_path / part / side, numbers(3), seed=seed)
    notes: list[str] = []
    given = options_of("--pairs", str(tmp_path / "train" / one), "--val-pairs", str(tmp_path / "val" / two))
    read_sources(given, notes.append)
    assert ["of the scene GOPR0384," in note for note in notes] == [True] * told


@pytest.mark.parametrize("speed", [0, 2, 6])
def test_the_shift_between_frames_is_measured(tmp_path: Path, speed: int) -> None:
    film(tmp_path / "one", numbers(12), speed)
    film(tmp_path / "two", numbers(12), speed, seed=1)
    assert shift_of_frames(parse_source("frames", str(tmp_path))) == pytest.approx(speed * 640 / 200, abs=0.5)


@pytest.mark.parametrize(("speed", "told"), [(0, False), (5, True)])
def test_frames_that_lie_too_far_apart_to_be_averaged_are_told_of(tmp_path: Path, speed: int, told: bool) -> None:
    film(tmp_path / "videos" / "one", numbers(12), speed)
    photos = unrelated(tmp_path / "photos", numbers(3, 9))
    notes: list[str] = []
    read_sources(options_of("--frames", str(tmp_path / "videos"), "--val-sharp", str(photos)), notes.append)
    assert ["neighbouring frames lie 16 pixels of a long side of 640 apart" in note for note in notes] == [True] * told
