from __future__ import annotations

import copy
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as photographs

from deblur.blur import BlurSpec
from deblur.errors import DeblurError
from deblur.exposure.kernels import kernels_along
from deblur.exposure.paths import as_measured, camera_path, felt
from deblur.prepare import main as prepare
from deblur.scenes import frame_runs
from deblur.train import build_parser
from deblur.training.batches import Batch, make_batch
from deblur.training.data import read_sources
from deblur.training.holding_out import hold_out, hold_out_recordings
from deblur.training.mix import BlurMix, BlurRange, parse_blur_range
from deblur.training.planning import Planner, Recipe, draw_examples, plan_crops
from deblur.training.sources import (
    Example,
    PictureStore,
    Source,
    check_readable,
    files_of,
    parse_source,
    without,
)

CPU = torch.device("cpu")
MIX = BlurMix((parse_blur_range("shake:4-20=0.5"), parse_blur_range("straight:9=0.3"), parse_blur_range("none=0.2")))


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.fixture
def folder(tmp_path):
    """Four sharp pictures, one smaller than the crops; three pairs; a video of seven frames."""
    photograph = photographs.astronaut()
    for index in range(3):
        save(tmp_path / "sharp" / f"{index}.png", photograph[index * 60 : index * 60 + 200, 100:340])
        save(tmp_path / "pairs" / "sharp" / f"{index}.png", photograph[:160, index * 90 : index * 90 + 160])
        save(tmp_path / "pairs" / "blur" / f"{index}.png", photograph[:160, index * 90 : index * 90 + 160] // 2)
    save(tmp_path / "sharp" / "small.png", photograph[:20, :31])
    for index in range(7):
        save(tmp_path / "frames" / "one" / f"{index}.png", np.full((90, 90, 3), 30 * index, np.uint8))
    return tmp_path


def batch_of(draws, store, mix, crop, **recipe):
    sizes = [store.size_of(draw.example.files[0]) for draw in draws]
    return make_batch(plan_crops(draws, sizes, Recipe(mix, **recipe), crop), store, crop)


def sources_of(folder):
    return [
        parse_source("sharp", f"{folder / 'sharp'}=0.5"),
        parse_source("pairs", f"{folder / 'pairs'}=0.3"),
        parse_source("frames", f"{folder / 'frames'}=0.2"),
    ]


def test_sources_list_what_is_there_and_weigh_it(folder):
    sharp, pairs, frames = sources_of(folder)
    assert (sharp.weight, len(sharp.examples)) == (0.5, 4)
    assert [tuple(file.parent.name for file in example.files) for example in pairs.examples] == [("blur", "sharp")] * 3
    assert [len(example.files) for example in frames.examples] == [7]
    assert parse_source("sharp", str(folder / "sharp")).weight == 1.0


@pytest.mark.parametrize("text", ["nowhere", "sharp=heavy", "sharp=0", "sharp=-1", "sharp=nan"])
def test_bad_sources_are_refused(folder, text):
    with pytest.raises(DeblurError):
        parse_source("sharp", str(folder / text))


@pytest.fixture
def prepared(folder):
    """What `deblur.prepare` makes of pairs and of photographs, each with pictures set aside."""
    assert prepare(["pairs", str(folder / "pairs"), str(folder / "dest"), "--scene-pattern", ".+"]) == 0
    assert prepare(["sharp", str(folder / "sharp"), str(folder / "photos")]) == 0
    for part in ("one", "two"):
        for side in ("blur", "blur_gamma", "sharp"):
            save(folder / "gopro" / part / side / "1.png", np.zeros((9, 9, 3), np.uint8))
    return folder


@pytest.mark.parametrize(
    ("given", "found", "instead"),
    [
        ("dest", "dest/train (and 1 more) holds blur/ beside sharp/", "dest/train"),
        ("gopro", "gopro/one (and 1 more) holds blur/ beside sharp/", "gopro/one"),
        ("dest/train", "dest/train holds blur/ beside sharp/", "dest/train"),
        (".", "dest/train (and 4 more) holds blur/ beside sharp/", "dest/train"),
        ("photos", "photos was prepared as train, val, which are not to be mixed", "photos/train"),
        ("all", "all/linked was prepared as train, val, which are not to be mixed", "all/linked/train"),
    ],
)
def test_a_prepared_set_as_a_whole_is_not_taken_for_sharp_pictures(prepared, monkeypatch, given, found, instead):
    (prepared / "all").mkdir()
    (prepared / "all" / "linked").symlink_to(prepared / "photos")
    monkeypatch.chdir(prepared)
    with pytest.raises(DeblurError) as refused:
        parse_source("sharp", f"{given}=2")
    assert str(refused.value).startswith(f"--sharp {given}: {found}")
    pairs = f", or as pairs: --pairs {instead}" if "blur/" in found else ""
    assert str(refused.value).endswith(f"; give {instead}/sharp{pairs}")


@pytest.mark.parametrize(
    ("length", "counts"), [(40, {5, 7, 9, 11, 13}), (13, {5, 7, 9, 11, 13}), (8, {5, 7}), (6, {5})]
)
def test_an_odd_number_of_neighbouring_frames_is_averaged_of_as_many_as_there_are(length, counts):
    video = Example("frames", tuple(Path(f"{index}.png") for index in range(length)), "video")
    draws = draw_examples([Source("frames", Path(), 1.0, (video,))], 0, 0, range(200))
    plans = plan_crops(draws, [(96, 96)] * 200, Recipe(MIX), 64)
    assert {len(plan.files) for plan in plans} == counts
    firsts = {video.files.index(plan.files[0]) for plan in plans}
    assert all(plan.files == video.files[video.files.index(plan.files[0]) :][: len(plan.files)] for plan in plans)
    assert min(firsts) == 0
    assert length - 7 <= max(firsts) <= length - 5


@pytest.mark.parametrize("kind", ["sharp", "frames"])
@pytest.mark.parametrize(
    ("blurred", "sharp", "told", "pairs"),
    [
        ("train/GOPR1_11_00/blur", "train/GOPR1_11_00/sharp", "blur/ beside sharp/", "train/GOPR1_11_00"),
        ("train/GOPR1_11_00/blur_gamma", "train/GOPR1_11_00/sharp", "blur_gamma/ beside sharp/", ""),
        ("train/train_blur/000", "train/train_sharp/000", "train_blur/ beside train_sharp/", ""),
        ("val_blur_jpeg/000", "val_sharp/000", "val_blur_jpeg/ beside val_sharp/", ""),
        ("test/010/Blur/RGB", "test/010/Sharp/RGB", "Blur/ beside Sharp/", ""),
        ("scene001/blur", "scene001/gt", "blur/ beside gt/", ""),
        ("scene001/avg_blur", "scene001/gt", "avg_blur/ beside gt/", ""),
        ("IMG_0003/input", "IMG_0003/GT", "input/ beside GT/", ""),
        ("test/test-close-ups", "GT", "test/ beside GT/", ""),
    ],
)
def test_the_blurred_half_of_a_data_set_is_not_taken_for_sharp(tmp_path, kind, blurred, sharp, told, pairs):
    for index in range(5):
        for place in (blurred, sharp):
            save(tmp_path / place / f"{index}.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DeblurError) as refused:
        parse_source(kind, str(tmp_path))
    assert told in str(refused.value)
    instead = sharp.removesuffix("/000").removesuffix("/RGB")
    as_pairs = f", or as pairs: --pairs {tmp_path / pairs}" if pairs else ""
    assert str(refused.value).endswith(f"; give {tmp_path / instead}{as_pairs}")
    assert len(parse_source(kind, str(tmp_path / instead)).examples) == (5 if kind == "sharp" else 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("train", "GT"),
        ("train", "gt"),
        ("input", "output"),
        ("train_blur", "val_sharp"),
        ("blurs", "sharp"),
        ("blur", "train"),
    ],
)
def test_other_folders_beside_each_other_are_all_taken(tmp_path, one, other):
    for place in (one, "photos"):
        save(tmp_path / place / "1.png", np.zeros((8, 8, 3), np.uint8))
    (tmp_path / other).mkdir()
    (tmp_path / other / "1.txt").write_text("boxes, not pictures")
    if other != "GT":
        save(tmp_path / other / "1.png", np.zeros((8, 8, 3), np.uint8))
    assert len(parse_source("sharp", str(tmp_path)).examples) == 3 - (other == "GT")


def test_of_a_prepared_set_its_parts_are_taken(prepared):
    assert len(parse_source("sharp", str(prepared / "dest" / "train" / "sharp")).examples) == 2
    assert len(parse_source("sharp", str(prepared / "photos" / "train" / "sharp")).examples) == 3
    assert len(parse_source("sharp", str(prepared / "photos" / "train")).examples) == 3
    assert len(parse_source("pairs", str(prepared / "dest" / "train")).examples) == 2


@pytest.mark.parametrize(
    "names",
    [
        ("blur/a.png", "b.png"),
        ("sharp/a.png", "b.png"),
        ("one/blur/a.png", "two/sharp/b.png"),
        ("train/sharp/a.png", "val/sharp/b.png"),
        ("train/sharp/a.png", "photos/manifest.png"),
    ],
)
def test_folders_of_ones_own_may_be_called_anything(tmp_path, names):
    for name in names:
        save(tmp_path / name, np.zeros((8, 8, 3), np.uint8))
    assert len(parse_source("sharp", str(tmp_path)).examples) == 2
    (tmp_path / "blur").mkdir(exist_ok=True)  # with no picture in it
    assert len(parse_source("sharp", str(tmp_path)).examples) == 2


def test_a_set_prepared_without_any_set_aside_is_taken_as_a_whole(folder):
    assert prepare(["sharp", str(folder / "sharp"), str(folder / "photos"), "--val-fraction", "0"]) == 0
    assert len(parse_source("sharp", str(folder / "photos")).examples) == 4


@pytest.mark.parametrize(("option", "part"), [("--pairs", "train"), ("--val-pairs", "val")])
def test_of_pairs_that_were_prepared_a_part_is_asked_for(prepared, monkeypatch, option, part):
    monkeypatch.chdir(prepared)
    with pytest.raises(DeblurError, match=rf"^{option} dest: dest/blur does not exist, .*; give dest/{part}$"):
        parse_source("pairs", "dest", option)
    with pytest.raises(DeblurError, match=r"^nowhere/blur does not exist$"):
        parse_source("pairs", "nowhere", option)


def test_unmatched_pair_is_named(folder):
    (folder / "pairs" / "sharp" / "1.png").unlink()
    with pytest.raises(DeblurError, match="1"):
        parse_source("pairs", str(folder / "pairs"))


def test_unreadable_and_unequal_files_are_named_before_training(folder):
    (folder / "sharp" / "0.png").write_bytes(b"")
    save(folder / "pairs" / "blur" / "2.png", np.zeros((9, 9, 3), np.uint8))
    examples = [example for source in sources_of(folder) for example in source.examples]
    with pytest.raises(DeblurError, match=r"2 pictures cannot.*0\.png.*2\.png.*sizes differ.*only headers were read"):
        check_readable(examples, None)


def test_what_reads_every_file_whole_is_named_and_lists_all_that_are_broken(folder, capsys):
    (folder / "sharp" / "0.png").write_bytes(b"")
    cut = folder / "sharp" / "1.png"
    cut.write_bytes(cut.read_bytes()[:-3000])
    with pytest.raises(DeblurError, match=r"1 pictures cannot .*: python -m deblur.prepare sharp .* lists all") as told:
        check_readable(parse_source("sharp", str(folder / "sharp")).examples, None)
    assert "1.png" not in str(told.value)
    assert prepare(["sharp", str(folder / "sharp"), str(folder / "photos")]) == 1
    problems = [line for line in capsys.readouterr().err.splitlines() if line.startswith("problem: ")]
    assert [Path(line.partition(": ")[2].partition(".png")[0]).name[-1] for line in problems] == ["0", "1"]
    assert not (folder / "photos").exists()


def test_hold_out_keeps_apart_and_stays_the_same(folder):
    source = parse_source("sharp", str(folder / "sharp"))
    kept, held = hold_out(source, 0.25, seed=1, most=99)
    assert len(held) == 1
    assert {*kept.examples, *held} == set(source.examples)
    assert hold_out(source, 0.25, seed=1, most=99)[1] == held
    assert hold_out(source, 0, seed=1, most=99)[1] == ()


@pytest.mark.parametrize("name", ["{scene}_{frame:06}", "{scene}/{frame:08}", "{frame}from{scene}"])
def test_hold_out_takes_whole_scenes_of_videos(tmp_path, name):
    for scene, frames in (("a1_11", 9), ("b2_11", 5), ("c3_11", 6)):
        for frame in range(frames):
            save(tmp_path / f"{name.format(scene=scene, frame=frame)}.png", np.zeros((8, 8, 3), np.uint8))
    source = parse_source("sharp", str(tmp_path))
    for seed in range(3):
        kept, held = hold_out(source, 0.1, seed, 99)
        assert {*kept.examples, *held} == set(source.examples)
        named = [
            [next(s for s in ("a1", "b2", "c3") if s in str(file)) for file in files_of(part)]
            for part in (kept.examples, held)
        ]
        assert not {*named[0]} & {*named[1]}
        # The share is two frames, and no scene is that small: the smallest goes.
        assert named[1] == ["b2"] * 5
    assert hold_out(source, 1, seed=1, most=99)[0].examples


@pytest.mark.parametrize("name", ["{:012}", "only_one_{:04}"])
def test_pictures_whose_names_tell_no_scenes_are_held_out_one_by_one(tmp_path, name):
    for number in range(20):
        save(tmp_path / f"{name.format(7 * number)}.png", np.zeros((8, 8, 3), np.uint8))
    source = parse_source("sharp", str(tmp_path))
    kept, held = hold_out(source, 0.15, seed=4, most=99)
    assert len(held) == 3
    assert len(kept.examples) == 17
    assert hold_out(source, 0.15, seed=5, most=99)[1] != held


def test_pictures_of_two_cameras_are_held_out_one_by_one_and_recordings_beside_them_as_a_whole():
    sizes = {"IMG": 60, "DSC": 40}
    held = hold_out(source_of(sizes), 0.05, 0, 99)[1]
    assert len(held) == 5
    # A camera more or less moves no other picture.
    alone = {file.stem for file in files_of(hold_out(source_of({"IMG": 60}), 1, 0, 9)[1])}
    both = {file.stem for file in files_of(hold_out(source_of(sizes), 1, 0, 9)[1])}
    assert {stem for stem in both if stem.startswith("IMG")} <= alone
    for seed in range(4):
        held = files_of(hold_out(source_of(sizes | {"walk": 3}), 0.9, seed, 99)[1])
        assert sum(file.stem.startswith("walk") for file in held) in {0, 3}


def source_of(sizes):
    """A source of scenes of so many frames each, as names tell them."""
    files = [Path("videos", f"{scene}_{frame:04}.png") for scene, size in sizes.items() for frame in range(size)]
    return Source("sharp", Path("videos"), 1.0, tuple(Example("sharp", (file,), file.stem) for file in files))


def scenes_held(sizes, share, seed):
    return {file.stem.partition("_")[0] for file in files_of(hold_out(source_of(sizes), share, seed, 99)[1])}


@pytest.mark.parametrize("seed", range(4))
def test_what_was_trained_on_is_not_held_out_when_pictures_come_or_go(seed):
    sizes = {f"{letter}x": 1 + place % 3 for place, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    held = scenes_held(sizes, 0.1, seed)
    assert len(held) > 1
    assert scenes_held(sizes | {"newx": 1}, 0.1, seed) <= held | {"newx"}
    for gone in set(sizes) - held:
        assert scenes_held({scene: size for scene, size in sizes.items() if scene != gone}, 0.1, seed) <= held


def test_scenes_of_more_than_a_tenth_are_held_out_last_and_others_whatever_their_size():
    small = {f"{letter}x": size for letter, size in zip("abcdefgh", (3, 4, 6, 7, 8, 9, 9, 10), strict=True)}
    sizes = {"ix": 28, "jx": 16} | small
    for seed in range(4):
        assert scenes_held(sizes, 0.56, seed) == set(small)
        assert scenes_held(sizes, 0.72, seed) == {*small, "jx"}
    assert len(set.union(*(scenes_held(sizes, 0.01, seed) for seed in range(9)))) > 3


@pytest.mark.parametrize(("share", "scenes"), [(0.14, 1), (0.16, 2), (0.24, 2), (0.26, 3)])
def test_as_many_scenes_are_held_out_as_come_nearest_to_the_share(share, scenes):
    assert len(scenes_held({f"{letter}x": 10 for letter in "abcdefghij"}, share, 0)) == scenes


def test_a_picture_by_itself_is_trained_on():
    source = source_of({"ax": 1})
    assert hold_out(source, 0.5, 0, 99) == (source, ())


@pytest.mark.parametrize(("share", "count"), [(0.14, 1), (0.26, 3)])
def test_of_recordings_the_share_is_of_their_frames(share, count):
    folders = [Path(f"walk-{letter}") for letter in "abcdefghij"]
    names = [str(place) for place in range(10)]
    sources = [
        Source("sharp", folder, 1.0, tuple(Example("sharp", (folder / f"{name}.png",), name) for name in names))
        for folder in folders
    ]
    held = [aside for _, aside in hold_out_recordings(sources, share, 0, 99) if aside]
    assert [len(aside) for aside in held] == [10] * count
    assert all(one.key.startswith(f"{one.files[0].parent}/") for aside in held for one in aside)


@pytest.mark.parametrize("seed", range(4))
def test_a_larger_share_only_adds_to_what_is_held_out(seed):
    sizes = {f"{letter}x": size for letter, size in zip("abcdefghij", (1, 9, 3, 30, 2, 2, 5, 1, 14, 1), strict=True)}
    held = [scenes_held(sizes, share / 100, seed) for share in range(1, 101)]
    assert all(fewer <= more for fewer, more in itertools.pairwise(held))
    assert len(held[0]) == 1
    assert held[-1] == set(sizes) - {"dx"}, "the largest stays to the last"


def test_no_more_scenes_are_held_out_than_are_looked_at():
    sizes = {f"{letter}x": 1 for letter in "abcdefghij"}
    source = source_of(sizes)
    held = [set(files_of(hold_out(source, 0.5, 2, most)[1])) for most in range(1, 8)]
    assert [len(files) for files in held] == [1, 2, 3, 4, 5, 5, 5]
    assert all(fewer <= more for fewer, more in itertools.pairwise(held))


def test_what_is_held_out_beyond_the_limit_is_trained_on(folder):
    options = build_parser().parse_args(["--hold-out", "0.75", "--val-blur", "shake:8", "--val-limit", "1"])
    options.sharp = [str(folder / "sharp")]
    (source,), (validated,) = read_sources(options, print)
    assert len(source.examples) == 3
    assert len(validated.pairs) == 1


@pytest.mark.parametrize(
    ("trained", "validated", "told"),
    [
        ("GOPR0372_07_00_000001", "GOPR0372_07_00_000002", "GOPR0372"),
        ("kitchen/0001", "kitchen/0002", "kitchen"),
        ("GOPR0372_07_00_000001", "GOPR0384_07_00_000001", ""),
        ("IMG_0001", "IMG_0002", ""),
        ("000001", "000001", ""),
    ],
)
def test_a_scene_that_is_trained_and_validated_on_is_told_of(tmp_path, trained, validated, told):
    for part, name in (("train", trained), ("val", validated)):
        for side in ("blur", "sharp"):
            save(tmp_path / part / side / f"{name}.png", np.full((70, 70, 3), len(part), np.uint8))
    options = build_parser().parse_args(["--val-blur", "shake:8"])
    options.pairs, options.val_pairs = [str(tmp_path / "train")], [str(tmp_path / "val")]
    notes = []
    read_sources(options, notes.append)
    scenes = [note.partition("of the scene ")[2].partition(",")[0] for note in notes]
    assert scenes == ([told] if told else [])


def test_a_scene_that_is_much_more_than_the_share_is_told_of(folder):
    for scene, frames in (("walk", 8), ("ride", 9)):
        for frame in range(frames):
            save(folder / "walks" / f"{scene}_{frame:04}.png", np.full((80, 90, 3), frames * frame, np.uint8))
    options = build_parser().parse_args(["--val-blur", "shake:8", "--sharp", str(folder / "walks")])
    notes = []
    read_sources(options, notes.append)
    (note,) = notes
    assert "walks: --hold-out sets aside 8 of 17 pictures" in note
    options.sharp = [str(folder / "sharp")]
    read_sources(options, notes.append)
    assert notes == [note]


def test_what_is_validated_on_is_trained_on_nowhere(folder):
    (folder / "sharp" / "night").mkdir()
    for place in range(8):
        save(folder / "sharp" / "night" / f"{place}.png", np.full((80, 90, 3), place, np.uint8))
    options = build_parser().parse_args(["--hold-out", "0.25", "--val-blur", "shake:8", "--val-limit", "3"])
    options.sharp = [str(folder / "sharp"), f"{folder / 'sharp' / 'night'}=0.5"]
    options.pairs = options.val_pairs = []
    sources, (validated,) = read_sources(options, print)
    trained = [set(files_of(source.examples)) for source in sources]
    listed = [set(files_of(parse_source("sharp", text).examples)) for text in options.sharp]
    assert listed[1] - trained[1] == (listed[0] - trained[0]) & listed[1]
    assert len(listed[0] - trained[0]) > round(0.25 * len(listed[0]))
    assert len(validated.pairs) == 3
    options.pairs = options.val_pairs = [str(folder / "pairs")]
    with pytest.raises(DeblurError, match="pairs: all of it is validated on"):
        read_sources(options, print)


@pytest.mark.parametrize("link", ["symlink", "hard", "copy"])
def test_prepared_pictures_to_validate_on_are_not_trained_on_from_where_they_came(tmp_path, link):
    for scene in ("a1", "b2"):
        for place in range(7):
            for side in ("blur", "sharp"):
                picture = np.full((70, 70, 3), 16 * place + ord(scene[0]) % 2 + 8 * (side == "blur"), np.uint8)
                save(tmp_path / "set" / side / scene / f"{place}.png", picture)
    given = ["pairs", str(tmp_path / "set"), str(tmp_path / "dest"), "--val-scenes", "b2", "--link", link]
    assert prepare(given) == 0
    options = build_parser().parse_args(["--hold-out", "0", "--val-pairs", str(tmp_path / "dest" / "val")])
    for kind in ("pairs", "sharp", "frames"):
        options.pairs = options.sharp = options.frames = []
        setattr(options, kind, [str(tmp_path / "set" / ("sharp" if kind != "pairs" else ""))])
        (source,), _ = read_sources(options, print)
        assert {file.parent.name for file in files_of(source.examples)} == {"a1"}


def test_sharp_pictures_to_validate_on_are_blurred_and_trained_on_nowhere(prepared):
    options = build_parser().parse_args(["--hold-out", "0", "--val-blur", "shake:8"])
    options.sharp = [str(prepared / "sharp")]
    options.val_sharp = [str(prepared / "photos" / "val" / "sharp")]
    (source,), (validated,) = read_sources(options, print)
    assert len(source.examples) == 3, "val/sharp is linked to one of the four"
    assert (validated.name, len(validated.pairs)) == ("shake:8", 1)
    options.val_sharp = [f"{prepared / 'photos' / 'val' / 'sharp'}=2"]
    with pytest.raises(DeblurError, match=r"--val-sharp .*=2: validation sets take no weight"):
        read_sources(options, print)
    options.val_sharp = [str(prepared / "photos")]
    with pytest.raises(DeblurError, match=r"^--val-sharp .* not to be mixed; give .*photos/val/sharp$"):
        read_sources(options, print)


def test_a_video_goes_on_behind_a_frame_that_is_validated_on(tmp_path):
    for place in range(30):
        save(tmp_path / "videos" / "one" / f"{place:02}.png", np.full((70, 70, 3), place, np.uint8))
    source = parse_source("frames", str(tmp_path / "videos"))
    frames = source.examples[0].files
    assert without(source, set()).examples == source.examples
    left = without(source, {frames[4], frames[8], frames[20]})
    # The first four frames and the three behind the fifth are too few to average.
    assert [example.files for example in left.examples] == [frames[9:20], frames[21:]]
    assert without(source, set(frames)).examples == ()


@pytest.mark.parametrize(
    ("count", "most", "places"), [(23, 12, [i * 23 // 12 for i in range(12)]), (3, 8, [0, 1, 2]), (9, 3, [0, 3, 6])]
)
def test_validation_takes_pictures_from_the_whole_folder(folder, count, most, places):
    (folder / "many" / "blur").mkdir(parents=True)
    (folder / "many" / "sharp").mkdir()
    for place in range(count):
        for side in ("blur", "sharp"):
            save(folder / "many" / side / f"{place:02}.png", np.full((70, 70, 3), place, np.uint8))
    options = build_parser().parse_args(["--val-limit", str(most), "--val-pairs", str(folder / "many")])
    _, (validated,) = read_sources(options, print)
    assert [int(blurred[0, 0, 0]) for blurred, _ in validated.pairs] == places


def test_another_seed_of_a_run_sets_other_pictures_aside(folder):
    aside = set()
    for seed in range(8):
        given = ["--hold-out", "0.25", "--val-blur", "shake:8", "--seed", str(seed), "--sharp", str(folder / "sharp")]
        _, (validated,) = read_sources(build_parser().parse_args(given), print)
        aside.add(validated.keys)
    assert len(aside) > 1


def test_no_more_is_validated_on_than_the_options_say(folder):
    options = build_parser().parse_args(["--val-limit", "1", "--val-side", "64", "--val-blur", "shake:8"])
    options.val_pairs, options.val_sharp = [str(folder / "pairs")], [str(folder / "pairs" / "sharp")]
    _, sets = read_sources(options, print)
    assert len(sets) == 2
    for one in sets:
        assert [[picture.shape for picture in pair] for pair in one.pairs] == [[(64, 64, 3)] * 2]


def test_pairs_to_validate_on_keep_their_size_and_what_is_set_aside_is_scaled_down(folder):
    options = build_parser().parse_args(["--max-side", "100", "--hold-out", "0.25", "--val-blur", "shake:8"])
    options.sharp, options.val_pairs = [str(folder / "sharp")], [str(folder / "pairs")]
    _, (pairs, aside) = read_sources(options, print)
    assert {picture.shape for pair in pairs.pairs for picture in pair} == {(160, 160, 3)}
    assert all(max(picture.shape) <= 100 for pair in aside.pairs for picture in pair)
    options.val_pairs = [f"{folder / 'pairs'}=2"]
    with pytest.raises(DeblurError, match=r"--val-pairs .*pairs=2: validation sets take no weight"):
        read_sources(options, print)


def test_batches_are_pure_functions_of_seed_step_and_place(folder):
    sources = sources_of(folder)

    def batch(step, places, store):
        return batch_of(draw_examples(sources, 5, step, places), store, MIX, 64)

    whole = batch(3, range(6), PictureStore(CPU, 10**9))
    again = batch(3, range(6), PictureStore(CPU, 1))
    assert torch.equal(whole.blurred, again.blurred)
    other = batch(4, range(6), PictureStore(CPU, 10**9))
    assert not torch.equal(whole.blurred, other.blurred)
    # Two processes share the batch: together they hold what one would.
    for rank in (0, 1):
        part = batch(3, range(rank, 6, 2), PictureStore(CPU, 10**9))
        assert part.files == whole.files[rank::2]
        assert torch.equal(part.sharp, whole.sharp[rank::2])
        assert (part.blurred - whole.blurred[rank::2]).abs().max() <= 2.5 / 255


def test_each_portion_of_a_batch_has_what_belongs_to_its_pictures():
    places = torch.arange(4.0).view(4, 1, 1, 1)
    batch = Batch(places, places + 10, tuple("abcd"), tuple("efgh"), tuple("ijkl"), places + 20)
    first, second = batch.portions(2)
    for portion, part in ((first, slice(2)), (second, slice(2, 4))):
        for name in ("blurred", "sharp", "guide"):
            assert torch.equal(getattr(portion, name), getattr(batch, name)[part]), name
        for name in ("motions", "exposures", "files"):
            assert getattr(portion, name) == getattr(batch, name)[part], name
    assert [portion.guide for portion in batch._replace(guide=None).portions(2)] == [None, None]


@pytest.mark.parametrize("workers", [0, 1])  # a process takes seconds to start
def test_plans_are_the_same_whoever_makes_them_and_in_whatever_order(folder, workers):
    sources = sources_of(folder)
    store = PictureStore(CPU, 10**9)
    recipe = Recipe(MIX, path_share=0.5)
    planner = Planner(lambda step: draw_examples(sources, 5, step, range(6)), store.size_of, recipe, workers)
    for step, crop in ((3, 64), (4, 64), (4, 96), (2, 64)):
        draws = draw_examples(sources, 5, step, range(6))
        wanted = batch_of(draws, store, MIX, crop, path_share=0.5)
        found = make_batch(planner.plans(step, crop), store, crop)
        assert torch.equal(found.blurred, wanted.blurred)
        assert torch.equal(found.sharp, wanted.sharp)
        assert [each is None for each in found.exposures] == [each is None for each in wanted.exposures]
    planner.close()


def test_plans_are_made_here_where_the_processes_beside_are_ended_from_outside(folder, capsys):
    sources = sources_of(folder)
    store = PictureStore(CPU, 10**9)
    planner = Planner(lambda step: draw_examples(sources, 5, step, range(6)), store.size_of, Recipe(MIX), 1)
    planner.plans(0, 64)
    (beside,) = multiprocessing.active_children()
    os.kill(beside.pid, signal.SIGTERM)  # as `timeout` and schedulers do to all processes of a job
    for step in (1, 2):
        wanted = batch_of(draw_examples(sources, 5, step, range(6)), store, MIX, 64)
        assert torch.equal(make_batch(planner.plans(step, 64), store, 64).blurred, wanted.blurred)
    planner.close()
    assert not multiprocessing.active_children()
    assert capsys.readouterr().err.count("this one plans them itself") == 1


def test_processes_that_plan_end_with_one_that_is_killed():
    plans = (
        "import os, time",
        "from deblur.training.planning import _follow_trainer",
        "_follow_trainer()",
        "print(os.getpid(), flush=True)",
        "time.sleep(300)",
    )
    trains = f"Process(target=exec, args=({chr(10).join(plans)!r}, {{}})).start()"  # without an import of torch
    script = f"import multiprocessing; multiprocessing.get_context('spawn').{trains}"
    trainer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    beside = int(trainer.stdout.readline())
    trainer.kill()
    try:
        trainer.communicate(timeout=30)  # ends when both have let go of it
    except subprocess.TimeoutExpired:
        os.kill(beside, signal.SIGKILL)
        raise


def test_sizes_are_known_before_pictures_are_read(folder):
    unread, store = (PictureStore(CPU, 10**9, max_side=100) for _ in range(2))
    for file in sorted((folder / "sharp").iterdir()):
        height, width = store.get(file).shape[1:]
        assert unread.size_of(file) == store.size_of(file) == (width, height)


def test_crops_have_one_size_and_range_even_from_small_pictures(folder):
    source = [parse_source("sharp", str(folder / "sharp"))]
    batch = batch_of(draw_examples(source, 0, 0, range(12)), PictureStore(CPU, 10**9), MIX, 96)
    assert batch.blurred.shape == batch.sharp.shape == (12, 3, 96, 96)
    assert batch.sharp.min() >= 0
    assert batch.sharp.max() <= 1
    assert {file.stem for file in batch.files} == {"0", "1", "2", "small"}


def test_pairs_are_cut_and_turned_alike(folder):
    source = [parse_source("pairs", str(folder / "pairs"))]
    batch = batch_of(draw_examples(source, 0, 0, range(8)), PictureStore(CPU, 10**9), MIX, 64)
    assert torch.equal(((batch.sharp * 255).round() // 2).int(), (batch.blurred * 255).round().int())


def test_without_quarter_turns_crops_are_mirrored_left_to_right_only(folder):
    upright = photographs.astronaut()[:100, :100].copy()
    upright[50:] = 0
    save(folder / "upright" / "a.png", upright)
    source = [parse_source("sharp", str(folder / "upright"))]

    def darkest_halves(quarter_turns):
        draws = draw_examples(source, 0, 0, range(12))
        sharp = batch_of(draws, PictureStore(CPU, 10**9), MIX, 100 // 8 * 8, quarter_turns=quarter_turns).sharp
        return {
            min(("top", "bottom", "left", "right"), key=lambda side: halves(picture)[side].mean()) for picture in sharp
        }

    def halves(picture):
        return {
            "top": picture[:, :40],
            "bottom": picture[:, -40:],
            "left": picture[..., :40],
            "right": picture[..., -40:],
        }

    assert darkest_halves(False) == {"bottom"}
    assert len(darkest_halves(True)) > 2


def test_the_motion_of_a_crop_is_that_of_its_picture(folder):
    save(folder / "point" / "a.png", np.pad(np.full((1, 1, 3), 255, np.uint8), ((40, 40), (40, 40), (0, 0))))
    source = [parse_source("sharp", str(folder / "point"))]
    mix = BlurMix((BlurRange(BlurSpec("curved"), 90, 90, 1.0),), srgb=0.0, noise=0.0, jpeg=0.0, highlights=0.0)
    batch = batch_of(draw_examples(source, 3, 0, range(4)), PictureStore(CPU, 10**9), mix, 64)
    for blurred, sharp, motion in zip(batch.blurred, batch.sharp, batch.motions, strict=True):
        y, x = (int(value) for value in (sharp[0] == 1).nonzero()[0])
        expected = torch.from_numpy(motion.kernel_at(x, y, 2 * 64 - 1))[63 - y :, 63 - x :][:64, :64]
        light = torch.where(blurred[0] <= 0.04045, blurred[0] / 12.92, ((blurred[0] + 0.055) / 1.055) ** 2.4)
        # Eight bits leave a few percent of the light.
        assert (light - expected).abs().sum() < 0.1


def test_crops_of_one_plan_differ_by_their_gain_and_noise_and_know_the_motion_where_they_lie(folder):
    lamp = photographs.astronaut()[:100, :120].copy()
    lamp[40:60, 40:80] = 255
    save(folder / "lamp" / "a.png", lamp)
    store, source = PictureStore(CPU, 10**9), parse_source("sharp", str(folder / "lamp"))
    mix = BlurMix((parse_blur_range("shake:60"),), noise=3.0, jpeg=0.0, highlights=0.0)
    (plan,) = plan_crops(draw_examples([source], 0, 0, range(1)), [(120, 100)], Recipe(mix), 64)
    changes = ({}, {}, {"gain": 4.0}, {"noise_seed": plan.blur.noise_seed + 1})
    batch = make_batch([replace(plan, blur=replace(plan.blur, **changed)) for changed in changes], store, 64)
    one, same, brighter, noisier = batch.blurred
    assert torch.equal(one, same)
    assert brighter.mean() > one.mean() + 0.02
    assert 0 < (noisier - one).abs().mean() < 0.02
    assert plan.corner != (0, 0)
    for motion in batch.motions:
        assert motion.center == tuple(np.subtract(plan.motion.center, plan.corner))


def test_kernels_that_cannot_be_read_are_named_at_once(tmp_path):
    with pytest.raises(DeblurError, match=r"missing\.npz"):
        parse_blur_range(f"measured@{tmp_path / 'missing.npz'}:2-9")


def test_frames_are_averaged_around_their_middle(folder):
    source = [parse_source("frames", str(folder / "frames"))]
    mix = BlurMix(MIX.ranges, srgb=1.0, noise=0.0, jpeg=0.0)
    batch = batch_of(draw_examples(source, 0, 0, range(8)), PictureStore(CPU, 10**9), mix, 32)
    # The frames brighten evenly, so their mean is the middle one.
    assert (batch.blurred - batch.sharp).abs().max() <= 1.5 / 255


def test_frames_are_in_the_order_of_their_numbers(tmp_path):
    for number in range(1, 13):
        save(tmp_path / "walk" / f"{number}.png", np.full((8, 8, 3), number, np.uint8))
    (example,) = parse_source("frames", str(tmp_path)).examples
    assert [file.stem for file in example.files] == [str(number) for number in range(1, 13)]
    save(tmp_path / "short" / "1.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DeblurError, match=r"no 5 frames of .*short are numbered without a gap \(at most 1\)"):
        parse_source("frames", str(tmp_path))


def test_a_video_is_parted_where_its_numbers_have_a_gap(tmp_path):
    for number in (*range(1, 7), *range(9, 12), *range(20, 30)):
        save(tmp_path / "walk" / f"{number}.png", np.full((8, 8, 3), number, np.uint8))
    parts = parse_source("frames", str(tmp_path)).examples
    assert [[int(file.stem) for file in part.files] for part in parts] == [[*range(1, 7)], [*range(20, 30)]]
    assert [part.key for part in parts] == ["walk/1", "walk/20"]
    for number in range(0, 36, 9):
        save(tmp_path / "loose" / f"{number}.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(DeblurError, match=r"no 5 frames of .*loose are .* \(at most 4\), .*; move it elsewhere"):
        parse_source("frames", str(tmp_path))


@pytest.mark.parametrize(
    ("names", "runs"),
    [
        (["10", "9", "8"], [["8", "9", "10"]]),
        (["2", "4", "6", "8", "14"], [["2", "4", "6", "8"], ["14"]]),
        (["a_1", "a_2", "b_3", "b_4"], [["a_1", "a_2"], ["b_3", "b_4"]]),
        (["f1x", "f2x", "f3x", "f7x"], [["f1x", "f2x", "f3x"], ["f7x"]]),
        (["one", "two"], [["one", "two"]]),
        (["7"], [["7"]]),
    ],
)
def test_runs_of_frames(names, runs):
    assert [[file.stem for file in run] for run in frame_runs(Path(f"{name}.jp2") for name in names)] == runs


def test_sharp_crop_is_where_the_blurred_one_is(folder):
    source = [parse_source("sharp", str(folder / "sharp"))]
    mix = BlurMix((BlurRange(BlurSpec("none"), 0, 0, 1.0),), noise=0.0, jpeg=0.0, highlights=0.0)
    batch = batch_of(draw_examples(source, 0, 7, range(4)), PictureStore(CPU, 10**9), mix, 64)
    assert (batch.blurred - batch.sharp).abs().max() <= 1.5 / 255


def test_store_scales_long_pictures_and_forgets_the_oldest(folder):
    store = PictureStore(CPU, capacity=3 * 100 * 83, max_side=100)
    first = store.get(folder / "sharp" / "0.png")
    assert first.shape == (3, 83, 100)
    assert store.get(folder / "sharp" / "0.png") is first
    store.get(folder / "sharp" / "1.png")
    assert store.get(folder / "sharp" / "0.png") is not first
    store.close()


@pytest.mark.parametrize(
    "text",
    [
        "shake:a-b",
        "shake:9-2",
        "shake:2-9=x",
        "shake:2-9=0",
        "wave:1-2",
        "shake",
        "shake=0.5",
        "straight:",
        "measured:8-9",
    ],
)
def test_bad_blur_ranges_are_refused(text):
    with pytest.raises(DeblurError):
        parse_blur_range(text)


def test_blur_mix_draws_within_its_bounds():
    generator = np.random.default_rng(0)
    drawn = [MIX.draw(generator) for _ in range(300)]
    kinds = [spec.kind for spec, _ in drawn]
    assert 100 < kinds.count("shake") < 200
    assert all(4 <= spec.length <= 20 for spec, _ in drawn if spec.kind == "shake")
    assert {spec.light for spec, _ in drawn} == {"linear", "srgb"}
    assert all(1 <= gain <= 4 for _, gain in drawn)
    assert not any(spec.readout for spec, _ in drawn)


def test_a_mix_draws_from_all_of_each_range():
    mix = BlurMix((parse_blur_range("shake:4-20"),), noise=2.0, jpeg=0.5, highlights=0.5)
    drawn = [mix.draw(np.random.default_rng(seed)) for seed in range(400)]
    specs, gains = zip(*drawn, strict=True)
    for name, values, low, high in (
        ("length", [spec.length for spec in specs], 4, 20),
        ("shot", [spec.shot / BlurSpec.shot for spec in specs], 0, 2),
        ("read", [spec.read / BlurSpec.read for spec in specs], 0, 2),
        ("jpeg", [spec.jpeg for spec in specs if spec.jpeg], 60, 100),
        ("gain", [gain for gain in gains if gain > 1], 1, 4),
    ):
        near = 0.05 * (high - low)
        assert low <= min(values) < low + near, name
        assert high - near < max(values) <= high, name
        assert np.mean(values) == pytest.approx((low + high) / 2, abs=2 * near), name
    assert {spec.roll for spec in specs} == {BlurSpec.roll}


def test_a_share_of_the_shake_is_seen_by_a_rolling_shutter():
    mix = BlurMix(MIX.ranges, rolling=0.5)
    generator = np.random.default_rng(0)
    drawn = [mix.draw(generator)[0] for _ in range(300)]
    readouts = [spec.readout for spec in drawn if spec.kind == "shake"]
    rolling = [readout for readout in readouts if readout]
    assert 0.4 * len(readouts) < len(rolling) < 0.6 * len(readouts)
    assert min(rolling) < 0.2
    assert 2.8 < max(rolling) <= 3
    assert not any(spec.readout for spec in drawn if spec.kind != "shake")


def some(kind="sharp", name="a", weight=1.0, frames=1):
    """A source of one example whose files are not there."""
    files = tuple(Path(f"{name}{index}.png") for index in range(frames))
    return Source(kind, Path(name), weight, (Example(kind, files, files[0].stem),))


def test_a_source_is_drawn_as_often_as_its_weight_says():
    sources = [some(name="a", weight=9.0), some(name="b", weight=1.0)]
    drawn = [draw.example for draw in draw_examples(sources, 0, 0, range(500))]
    assert 0.85 < drawn.count(sources[0].examples[0]) / 500 < 0.95


@pytest.mark.parametrize("frames", [5, 6, 8])
def test_of_a_video_an_odd_number_of_frames_is_averaged(frames):
    draws = draw_examples([some("frames", frames=frames)], 0, 0, range(30))
    plans = plan_crops(draws, [(64, 64)] * 30, Recipe(BlurMix((parse_blur_range("none"),))), 32)
    assert {len(plan.files) % 2 for plan in plans} == {1}
    assert {file for plan in plans for file in plan.files} == {*draws[0].example.files}


def test_crops_come_from_all_of_a_picture_however_it_is_turned():
    plans = plan_crops(draw_examples([some()], 0, 0, range(300)), [(80, 72)] * 300, Recipe(MIX), 64)
    for odd, reach in ((0, (16, 8)), (1, (8, 16))):
        corners = np.array([plan.corner for plan in plans if plan.quarters % 2 == odd])
        assert corners.min(axis=0).tolist() == [0, 0]
        assert tuple(corners.max(axis=0)) == reach
    assert {(plan.mirrored, plan.quarters) for plan in plans} == set(itertools.product((False, True), range(4)))


def test_a_picture_smaller_than_its_crop_moves_as_one_of_the_crops_size():
    recipe = Recipe(BlurMix((parse_blur_range("curved:20"),)))
    (plan,) = plan_crops(draw_examples([some()], 0, 0, range(1)), [(31, 20)], recipe, 96)
    assert np.hypot(*np.diff(plan.motion.path[:, :2], axis=0).T).sum() == pytest.approx(20 * 96 / 640)
    assert plan.motion.center == (47.5, 47.5)


def test_kernels_that_are_told_are_those_of_the_crop(monkeypatch):
    # A sensor that does not err.
    monkeypatch.setattr("deblur.exposure.paths.as_measured", lambda motion, generator: motion)
    draws = draw_examples([some()], 0, 0, range(4))
    recipe = Recipe(BlurMix((parse_blur_range("shake:40"),)), path_share=1.0)
    for plan in plan_crops(draws, [(640, 480)] * 4, recipe, 64):
        here = kernels_along(plan.motion.cropped(*plan.corner), 64, 64)
        np.testing.assert_array_equal(plan.told.kernels, here.kernels)


def test_a_guide_is_told_nothing_of_an_object_that_moves_by_itself():
    recipe = Recipe(BlurMix((parse_blur_range("object:20"),)), path_share=1.0)
    (plan,) = plan_crops(draw_examples([some()], 0, 0, range(1)), [(640, 480)], recipe, 64)
    kernel = plan.told.kernels[0, 0]
    assert kernel[len(kernel) // 2, len(kernel) // 2] == 1


@pytest.mark.parametrize("kind", ["shake", "rolling", "curved", "straight", "object", "background", "measured", "none"])
def test_of_a_camera_that_does_not_move_ahead_all_of_its_path_is_told(kind, tmp_path, monkeypatch):
    np.savez(tmp_path / "kernels.npz", np.tri(9, dtype=np.float32))
    named = {"rolling": "shake", "measured": f"measured@{tmp_path / 'kernels.npz'}"}.get(kind, kind)
    told = []

    def compared(motion, generator):
        own = copy.deepcopy(generator)
        whole = as_measured(camera_path(motion), own)
        told.append(felt(motion, generator))
        assert (told[-1].path.tobytes(), told[-1].weights.tobytes()) == (whole.path.tobytes(), whole.weights.tobytes())
        assert (told[-1].shutter, told[-1].region) == (whole.shutter, whole.region)
        assert generator.bit_generator.state == own.bit_generator.state
        return told[-1]

    monkeypatch.setattr("deblur.training.planning.felt", compared)
    mix = BlurMix((parse_blur_range(f"{named}:24"),), rolling=float(kind == "rolling"))
    draws = draw_examples([some()], 0, 0, range(4))
    plan_crops(draws, [(640, 480)] * 4, Recipe(mix, path_share=1.0), 64)
    assert len(told) == 4
    assert any(motion.path.any() for motion in told) == (kind not in {"object", "none"})


def test_of_a_camera_that_moves_ahead_its_turns_are_told(monkeypatch):
    monkeypatch.setattr("deblur.exposure.paths.as_measured", lambda motion, generator: motion)
    draws = draw_examples([some()], 0, 0, range(4))
    recipe = Recipe(BlurMix((parse_blur_range("forward:40"),)), path_share=1.0)
    for plan in plan_crops(draws, [(640, 480)] * 4, recipe, 64):
        whole = plan.motion.cropped(*plan.corner)
        turns = replace(whole, path=whole.path * (1, 1, 1, 0))
        np.testing.assert_array_equal(plan.told.kernels, kernels_along(turns, 64, 64).kernels)
        assert not np.array_equal(plan.told.kernels, kernels_along(whole, 64, 64).kernels)


def test_a_mix_adds_what_its_shares_say():
    mix = BlurMix((parse_blur_range("shake:8"),), srgb=0.25, noise=2.0, jpeg=0.75, highlights=0.25)
    drawn = [mix.draw(np.random.default_rng(seed)) for seed in range(400)]
    for count, share in (
        (sum(spec.light == "srgb" for spec, _ in drawn), 0.25),
        (sum(60 <= spec.jpeg <= 100 for spec, _ in drawn), 0.75),
        (sum(1 < gain <= 4 for _, gain in drawn), 0.25),
        (sum(spec.shot > BlurSpec.shot for spec, _ in drawn), 0.5),
        (sum(spec.read > BlurSpec.read for spec, _ in drawn), 0.5),
    ):
        assert count / 400 == pytest.approx(share, abs=0.08)
