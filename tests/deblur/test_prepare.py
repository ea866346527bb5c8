from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deblur.errors import DeblurError
from deblur.picture_folders import match_pictures
from deblur.pictures import read_picture, write_picture
from deblur.prepare import checks, main
from deblur.prepare.checks import check_pair, find_shift
from deblur.prepare.layouts import Pair
from deblur.prepare.splits import choose_scenes
from deblur.scenes import names_a_scene, scene_of, units_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def textured(seed: int, height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """Noise with large and small structure, so that a shift is visible."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3)).repeat(8, 0).repeat(8, 1)[:height, :width]
    return (0.7 * coarse + 0.3 * random.integers(0, 256, (height, width, 3))).astype(np.uint8)


def blurred(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    wide = np.pad(picture.astype(float), ((0, 0), (1, 1), (0, 0)), mode="edge")
    return ((wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]) / 3).round().astype(np.uint8)


def write_pair(blurred_path: Path, sharp_path: Path, seed: int) -> None:
    sharp = textured(seed)
    write_picture(sharp_path, sharp)
    write_picture(blurred_path, blurred(sharp))


def make_gopro(root: Path, scenes: int = 4, frames: int = 3) -> Path:
    for split, count in (("train", scenes), ("test", 2)):
        for scene in range(count):
            for frame in range(frames):
                folder, name = root / split / f"GOPR{split}{scene}_11_00", f"{frame + 1:06d}.png"
                seed = scene * 100 + frame + 10_000 * (split == "test")
                write_pair(folder / "blur" / name, folder / "sharp" / name, seed)
                write_picture(folder / "blur_gamma" / name, blurred(blurred(textured(seed))))
    return root


def manifest_of(dest: Path) -> dict:
    return json.loads((dest / "manifest.json").read_text(encoding="utf-8"))


def state_of(folder: Path) -> dict[str, tuple[bool, int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.is_symlink(), path.lstat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_gopro_is_flattened_and_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    (source / "train" / ".thumbs").mkdir()  # of a file manager
    before = state_of(source)
    assert main(["gopro", str(source), str(dest), "--json"]) == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["counts"] == {"train": 9, "val": 3, "test": 6}
    manifest = manifest_of(dest)
    assert (manifest["data_set"], manifest["blur"]) == ("gopro", "linear")
    for split, count in manifest["counts"].items():
        assert len(match_pictures(dest / split / "blur", dest / split / "sharp")) == count
    record = next(one for one in manifest["pictures"] if one["name"] == "GOPRtest1_11_00_000002")
    original = source / "test" / "GOPRtest1_11_00" / "blur" / "000002.png"
    assert record["blurred"]["sha256"] == hashlib.sha256(original.read_bytes()).hexdigest()
    assert (record["width"], record["height"], record["scene"]) == (64, 48, "GOPRtest1")
    assert record["blur"] == "linear"
    assert (dest / record["blurred"]["file"]).read_bytes() == original.read_bytes()
    assert "train has 12 pairs, the published gopro has 2103" in output.err
    assert "test has 6 pairs, the published gopro has 1111" in output.err
    assert state_of(source) == before


def test_no_scene_stands_in_train_and_val(tmp_path: Path) -> None:
    source = make_gopro(tmp_path / "source", scenes=5)
    assert main(["gopro", str(source), str(tmp_path / "dest"), "--val-fraction", "0.4"]) == 0
    scenes = manifest_of(tmp_path / "dest")["scenes"]
    assert len(scenes["val"]) == 2
    assert len(scenes["train"]) == 3
    assert not set(scenes["train"]) & set(scenes["val"])


def test_the_parts_of_a_gopro_recording_stay_on_one_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    parts = [f"train/GOPR037{recording}_11_0{part}" for recording in range(3) for part in range(4)]
    for seed, part in enumerate([*parts, "test/GOPR0370_11_04"]):
        write_pair(source / part / "blur" / "000047.png", source / part / "sharp" / "000047.png", seed)
    for seed in range(4):
        assert main(["gopro", str(source), str(dest / f"{seed}"), "--seed", f"{seed}", "--val-fraction", "0.1"]) == 0
        manifest = manifest_of(dest / f"{seed}")
        assert manifest["counts"] == {"train": 8, "val": 4, "test": 1}
        aside = {one["name"].partition("_")[0] for one in manifest["pictures"] if one["split"] == "val"}
        assert manifest["scenes"]["val"] == sorted(aside)
        assert not aside & {one["name"].partition("_")[0] for one in manifest["pictures"] if one["split"] == "train"}
    assert "1 scenes stand in more than one split: GOPR0370" in capsys.readouterr().err


def test_another_seed_sets_other_scenes_aside(tmp_path: Path) -> None:
    source = make_gopro(tmp_path / "source", scenes=5, frames=1)
    aside = set()
    for seed in map(str, range(6)):
        assert main(["gopro", str(source), str(tmp_path / seed), "--seed", seed, "--val-fraction", "0.2"]) == 0
        aside.update(manifest_of(tmp_path / seed)["scenes"]["val"])
    assert len(aside) > 1


@pytest.mark.parametrize(
    ("said", "typed", "scenes"),
    [
        ("val-fraction: 0.4", ["--val-scenes", "GOPRtrain1"], 1),
        ("val-scenes: [nowhere]", ["--val-fraction", "0.4"], 2),
    ],
)
def test_what_is_typed_of_val_stands_for_what_the_configuration_says(
    tmp_path: Path, said: str, typed: list[str], scenes: int
) -> None:
    source = make_gopro(tmp_path / "source", scenes=5)
    (tmp_path / "config.yaml").write_text(said)
    given = ["gopro", str(source), str(tmp_path / "dest"), "--config", str(tmp_path / "config.yaml")]
    assert main([*given, *typed]) == 0
    assert len(manifest_of(tmp_path / "dest")["scenes"]["val"]) == scenes


def test_gamma_blur_is_taken_and_named(tmp_path: Path) -> None:
    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    assert main(["gopro", str(source), str(dest), "--blur", "gamma", "--val-fraction", "0"]) == 0
    assert manifest_of(dest)["blur"] == "gamma"
    assert manifest_of(dest)["counts"] == {"train": 12, "test": 6}
    placed = dest / "train" / "blur" / "GOPRtrain0_11_00_000001.png"
    assert np.array_equal(read_picture(placed), read_picture(source / "train/GOPRtrain0_11_00/blur_gamma/000001.png"))


@pytest.mark.parametrize("link", ["symlink", "hard", "copy"])
def test_the_second_run_changes_nothing(tmp_path: Path, link: str, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    arguments = ["gopro", str(source), str(dest), "--link", link, "--json"]
    assert main(arguments) == 0
    before = state_of(dest)
    capsys.readouterr()
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["new_files"] == 0
    assert state_of(dest) == before
    placed = dest / "test/sharp/GOPRtest0_11_00_000001.png"
    original = source / "test/GOPRtest0_11_00/sharp/000001.png"
    assert placed.is_symlink() == (link == "symlink")
    assert placed.samefile(original) == (link != "copy")


def test_names_that_are_no_utf8_are_prepared(
    tmp_path: Path, garbled_name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    for seed, scene in enumerate(("x", garbled_name)):
        write_pair(source / "blur" / scene / "1.png", source / "sharp" / scene / "1.png", seed)
    assert main(["pairs", str(source), str(dest), "--val-fraction", "0.5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"train": 1, "val": 1}
    records = manifest_of(dest)["pictures"]
    assert {record["scene"] for record in records} == {"x", garbled_name}
    assert all((dest / record[side]["file"]).is_file() for record in records for side in ("blurred", "sharp"))
    before = state_of(dest)
    assert main(["pairs", str(source), str(dest), "--val-fraction", "0.5"]) == 0
    assert "nothing new" in capsys.readouterr().out
    assert state_of(dest) == before


def test_an_interrupted_run_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deblur.prepare import placing

    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    place_file, calls = placing._place_file, 0

    def stop_after_five(*args: object) -> bool:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise KeyboardInterrupt
        return place_file(*args)

    monkeypatch.setattr(placing, "_place_file", stop_after_five)
    assert main(["gopro", str(source), str(dest)]) == 130
    assert not (dest / "manifest.json").exists()
    monkeypatch.undo()
    assert main(["gopro", str(source), str(dest)]) == 0
    assert sum(manifest_of(dest)["counts"].values()) == 18
    assert sorted(path.name for path in dest.iterdir()) == ["manifest.json", "test", "train", "val"]


def test_an_interrupt_while_pairs_are_queued_leaves_them_unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    go, queued, checked = threading.Event(), [0], [0]
    submit = ThreadPoolExecutor.submit

    def interrupted(*args: object) -> Future[object]:
        queued[0] += 1
        if queued[0] > 30:
            threading.Timer(0.2, go.set).start()
            raise KeyboardInterrupt
        return submit(*args)  # type: ignore[arg-type]

    def check(pair: Pair) -> None:
        go.wait(20)
        checked[0] += 1

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    monkeypatch.setattr(checks, "check_pair", check)
    with pytest.raises(KeyboardInterrupt):
        checks.check_pairs([Pair(str(number), "train", "a", None, Path("a")) for number in range(40)], 2)
    assert checked[0] < 10


def test_a_completed_dest_that_is_interrupted_when_completed_again_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deblur.prepare import placing

    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    assert main(["gopro", str(source), str(dest)]) == 0
    picture = dest / manifest_of(dest)["pictures"][0]["sharp"]["file"]
    picture.unlink()

    def stop(*args: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(placing, "_place_file", stop)
    assert main(["gopro", str(source), str(dest)]) == 130
    assert (dest / ".preparing.json").is_file()
    monkeypatch.undo()
    assert main(["gopro", str(source), str(dest)]) == 0
    assert picture.exists()
    assert not (dest / ".preparing.json").exists()


def test_other_scenes_are_named_briefly(tmp_path: Path) -> None:
    from deblur.prepare import placing

    scenes = [f"scene-{number:04d}" for number in range(1000)]
    (tmp_path / "manifest.json").write_text(json.dumps({"settings": {"blur": "a" * 999, "val_scenes": scenes}}))
    with pytest.raises(DeblurError) as caught:
        placing.refuse_foreign(tmp_path, {"blur": None, "val_scenes": [*scenes[:-1], "yard"]})
    assert "other val_scenes, differing in ['scene-0999', 'yard']; choose another DEST" in str(caught.value)
    assert "blur 'aaa" in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("dest", "says"),
    [
        ("file", "error: cannot make {dest}: {dest} is no folder; choose another DEST\n"),
        ("file/new", "error: cannot make {dest}: {file} is no folder; choose another DEST\n"),
        ("locked/new", "error: cannot make {dest}: {locked} is not yours to write to; choose another DEST\n"),
    ],
)
def test_a_dest_that_cannot_be_made_is_said_before_pictures_are_read(
    dest: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, file, locked = make_gopro(tmp_path / "source"), tmp_path / "file", tmp_path / "locked"
    file.touch()
    locked.mkdir()
    monkeypatch.setattr(os, "access", lambda place, _: Path(place).name != "locked")
    monkeypatch.delattr(checks, "check_pairs")
    assert main(["gopro", str(source), str(tmp_path / dest)]) == 1
    assert capsys.readouterr().err == says.format(dest=tmp_path / dest, file=file, locked=locked)


def test_a_foreign_or_differently_prepared_dest_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work", encoding="utf-8")
    assert main(["gopro", str(source), str(foreign)]) == 1
    assert "holds something else" in capsys.readouterr().err
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]
    assert main(["gopro", str(source), str(dest)]) == 0
    before = state_of(dest)
    capsys.readouterr()
    assert main(["gopro", str(source), str(dest), "--blur", "gamma"]) == 1
    assert "was prepared with blur 'linear', not 'gamma'" in capsys.readouterr().err
    assert main(["gopro", str(source), str(source / "out")]) == 1
    assert state_of(dest) == before


def test_what_has_gone_from_a_source_is_said_before_what_that_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    assert main(["gopro", str(source), str(dest), "--val-fraction", "0.5"]) == 0
    shutil.rmtree(source / "train" / f"{manifest_of(dest)['settings']['val_scenes'][0]}_11_00" / "blur")
    assert main(["gopro", str(source), str(dest), "--val-fraction", "0.5"]) == 1
    assert "/blur does not exist; mend them" in capsys.readouterr().err


def test_a_file_in_the_way_is_never_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    arguments = ["gopro", str(source), str(dest), "--link", "copy"]
    assert main(arguments) == 0
    mine = dest / "test/sharp/GOPRtest0_11_00_000001.png"
    write_picture(mine, textured(999))
    before = mine.read_bytes()
    assert main(arguments) == 1
    assert str(mine) in capsys.readouterr().err
    assert mine.read_bytes() == before
    mine.unlink()
    assert main(arguments) == 0
    for split in ("train", "test"):
        stranger = dest / split / "sharp/stranger.png"
        stranger.write_bytes(before)
        assert main(arguments) == 1
        assert "stranger.png is no picture of this data set" in capsys.readouterr().err
        stranger.unlink()


def test_a_copy_that_breaks_off_leaves_no_half_of_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, dest = make_gopro(tmp_path / "source", scenes=2, frames=1), tmp_path / "dest"
    arguments = ["gopro", str(source), str(dest), "--link", "copy"]
    copy = shutil.copy2

    def break_off(file: Path, target: Path) -> None:
        target.write_bytes(file.read_bytes()[:9])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", break_off)
    assert main(arguments) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert not list(dest.rglob("*.png"))
    monkeypatch.setattr(shutil, "copy2", copy)
    assert main(arguments) == 0


@pytest.mark.parametrize("link", ["symlink", "hard"])
def test_another_file_in_the_place_of_a_link_is_refused(
    tmp_path: Path, link: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, dest = make_gopro(tmp_path / "source", scenes=2, frames=1), tmp_path / "dest"
    arguments = ["gopro", str(source), str(dest), "--link", link]
    assert main(arguments) == 0
    place, other = dest / "test/sharp/GOPRtest0_11_00_000001.png", source / "test/GOPRtest1_11_00/sharp/000001.png"
    place.unlink()
    if link == "symlink":
        place.symlink_to(other)
    else:
        place.hardlink_to(other)
    assert main(arguments) == 1
    assert f"{place} is not the {link} of " in capsys.readouterr().err


def test_hidden_files_of_a_file_manager_are_no_strangers(tmp_path: Path) -> None:
    source, dest = make_gopro(tmp_path / "source"), tmp_path / "dest"
    arguments = ["gopro", str(source), str(dest)]
    assert main(arguments) == 0
    for name in ("train/.DS_Store", "train/sharp/.directory", "val/blur/.thumbs/a.png", "test/sharp/.1234.part"):
        (dest / name).parent.mkdir(exist_ok=True)
        (dest / name).touch()
    assert main(arguments) == 0


def test_every_problem_is_listed_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    for name in ("a", "b", "c", "d", "e"):
        write_pair(source / "blur" / f"{name}.png", source / "sharp" / f"{name}.png", ord(name))
    (source / "blur" / "a.png").unlink()
    (source / "sharp" / "b.png").unlink()
    (source / "blur" / "c.png").write_bytes(b"")
    write_picture(source / "sharp" / "d.png", textured(1, 48, 63))
    whole = (source / "sharp" / "e.png").read_bytes()
    (source / "sharp" / "e.png").write_bytes(whole[: len(whole) // 2])
    assert main(["pairs", str(source), str(dest)]) == 1
    lines = capsys.readouterr().err.splitlines()
    problems = [line for line in lines if line.startswith("problem: ")]
    assert len(problems) == 5
    for fragment in ("sharp/a.png has no blurred", "blur/b.png has no sharp", "c.png", "64x48", "sharp/e.png"):
        assert any(fragment in line for line in problems), fragment
    assert lines[-1].startswith(f"error: {source}: 5 problems")
    assert not dest.exists()


def test_pictures_that_differ_only_by_suffix_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    write_pair(source / "blur/a.png", source / "sharp/a.png", 1)
    write_picture(source / "blur/a.jpg", textured(2))
    assert main(["pairs", str(source), str(tmp_path / "dest")]) == 1
    assert "blur/a.jpg and a.png differ only by suffix" in capsys.readouterr().err
    assert not (tmp_path / "dest").exists()


def test_shifted_foreign_and_equal_pairs_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    wide = textured(5, 160, 200)
    write_picture(source / "sharp/moved.png", wide[10:140, 10:180])
    write_picture(source / "blur/moved.png", blurred(wide)[14:144, 4:174])
    write_picture(source / "sharp/other.png", np.zeros((40, 40, 3), np.uint8))
    write_picture(source / "blur/other.png", np.full((40, 40, 3), 255, np.uint8))
    write_picture(source / "sharp/equal.png", textured(7))
    write_picture(source / "blur/equal.png", textured(7))
    write_pair(source / "blur/fine.png", source / "sharp/fine.png", 8)
    assert main(["pairs", str(source), str(dest), "--blur", "made by hand"]) == 0
    manifest = manifest_of(dest)
    shifts = {record["name"]: record["shift"] for record in manifest["pictures"]}
    assert shifts == {"moved": [6, -4], "other": None, "equal": None, "fine": None}
    assert manifest["blur"] == "made by hand"
    assert len(manifest["warnings"]) == 3
    text = "\n".join(manifest["warnings"])
    assert "is shifted by (6, -4) pixels" in text
    assert "blur/other.png is far from" in text
    assert "blur/equal.png equals" in text
    assert all(line in capsys.readouterr().err or line in text for line in manifest["warnings"])
    assert "NaN" not in (dest / "manifest.json").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("move", "shift"),
    [((1, 0), None), ((2, 0), (2, 0)), ((0, -2), (0, -2)), ((24, 0), (24, 0)), ((25, 0), None), ((0, 25), None)],
)
def test_a_pair_is_shifted_from_two_pixels_on_up_to_a_quarter_of_it(
    tmp_path: Path, move: tuple[int, int], shift: tuple[int, int] | None
) -> None:
    wide = textured(5, 160, 160)
    write_picture(tmp_path / "sharp.png", wide[30:130, 30:130])
    write_picture(tmp_path / "blur.png", wide[30 - move[1] : 130 - move[1], 30 - move[0] : 130 - move[0]])
    checked = check_pair(Pair("a", "train", "a", tmp_path / "blur.png", tmp_path / "sharp.png"))
    assert (checked.shift, len(checked.warnings) == 1) == (shift, shift is not None or checked.psnr < 15)


def test_the_middle_of_a_large_pair_is_judged(tmp_path: Path) -> None:
    sharp = textured(5, 560, 560)
    blur = sharp.copy()
    for border in (np.s_[:24], np.s_[-24:], np.s_[:, :24], np.s_[:, -24:]):
        blur[border] = 0
    blur[24, 24] ^= 255
    for name, picture in (("sharp", sharp), ("blur", blur)):
        write_picture(tmp_path / f"{name}.png", picture)
    psnr = check_pair(Pair("a", "train", "a", tmp_path / "blur.png", tmp_path / "sharp.png")).psnr
    change = (sharp[24, 24].mean() - blur[24, 24].mean()) ** 2 / 512**2
    assert psnr == pytest.approx(10 * np.log10(255**2 / change), abs=0.01)


@pytest.mark.parametrize("shift", [(0, 0), (3, -5), (-7, 2)])
def test_find_shift_recovers_a_move(shift: tuple[int, int]) -> None:
    picture = textured(3, 120, 150).mean(axis=2)
    assert find_shift(np.roll(picture, (shift[1], shift[0]), axis=(0, 1)), picture) == shift


def test_hide(tmp_path: Path) -> None:
    source, dest = tmp_path / "HIDE", tmp_path / "dest"
    for number, folder in enumerate(("train", "test/test-close-ups", "test/test-long-shot")):
        for frame in (1, 2):
            name = f"{frame}fromGOPR{number}.MP4.png"
            write_pair(source / folder / name, source / "GT" / name, 10 * number + frame)
    assert main(["hide", str(source), str(dest)]) == 0
    manifest = manifest_of(dest)
    assert manifest["counts"] == {"train": 2, "test": 4}
    assert manifest["scenes"]["test"] == ["GOPR1.MP4", "GOPR2.MP4"]
    assert (dest / "test/blur/2fromGOPR2.MP4.png").exists()


def test_realblur_follows_the_list_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = tmp_path / "RealBlur", tmp_path / "dest"
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for split, scene in (("train", "scene001"), ("train", "scene002"), ("test", "scene003")):
        for number in (1, 12):
            gt, blur = (f"RealBlur-R_BM3D/{scene}/{kind}/{kind}_{number}.png" for kind in ("gt", "blur"))
            write_pair(source / blur, source / gt, 100 * int(scene[-3:]) + number)
            lines[split].append(f"{gt} {blur} ")
    for split, listed in lines.items():
        (source / f"RealBlur_R_{split}_list.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    assert main(["realblur", str(source), str(dest)]) == 1
    assert "holds no RealBlur_J_test_list.txt" in capsys.readouterr().err
    assert main(["realblur", str(source), str(dest), "--blur", "R"]) == 0
    manifest = manifest_of(dest)
    assert manifest["blur"] == "R"
    assert manifest["counts"] == {"train": 2, "val": 2, "test": 2}
    assert (dest / "test/sharp/scene003_12.png").samefile(source / "RealBlur-R_BM3D/scene003/gt/gt_12.png")
    assert "published realblur has 980" in capsys.readouterr().err
    broken = "RealBlur-R_BM3D/scene003/gt/gt_1.png RealBlur-R_BM3D/scene003/blur/blur_12.png\nonly_one_word\n"
    broken += f"{'x' * 300}/gt/gt_1.png RealBlur-R_BM3D/scene003/blur/blur_1.png\n"
    broken += "RealBlur-R_BM3D/scene003/gt/gt_1.png RealBlur-R_BM3D/scene001/blur/blur_1.png\n"
    (source / "RealBlur_R_test_list.txt").write_text(broken, encoding="utf-8")
    assert main(["realblur", str(source), str(tmp_path / "other"), "--blur", "R"]) == 1
    problems = capsys.readouterr().err
    assert "list.txt, line 1: " in problems
    assert "line 2: 'gt_path blur_path' is needed" in problems
    assert "xxx/gt/gt_1.png does not exist" in problems
    assert "scene001/blur/blur_1.png are not of one place and number" in problems


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (
            b"gt/gt_1.png blur/\xffblur_1.png\n",
            "RealBlur_J_test_list.txt is not UTF-8 text (invalid start byte at byte 17)",
        ),
        (b"ROOT/a/gt/gt_1.png ROOT/a/blur/blur_1.png\n", "line 1: ROOT/a/gt/gt_1.png leads out of"),
        (b"\xef\xbb\xbfa/gt/gt_1.png ../a/blur/blur_1.png\n", "line 1: ../a/blur/blur_1.png leads out of"),
    ],
)
def test_a_realblur_list_that_cannot_be_followed_is_one_line(
    tmp_path: Path, content: bytes, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "RealBlur"
    source.mkdir()
    write_pair(tmp_path / "a/blur/blur_1.png", tmp_path / "a/gt/gt_1.png", 1)
    (source / "RealBlur_J_test_list.txt").write_bytes(content.replace(b"ROOT", str(tmp_path).encode()))
    assert main(["realblur", str(source), str(tmp_path / "dest")]) == 1
    printed = capsys.readouterr().err
    assert printed.count("problem: ") == 1
    assert problem.replace("ROOT", str(tmp_path)) in printed
    assert printed.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("outer", [True, False])
def test_reds_keeps_its_own_val(tmp_path: Path, outer: bool, capsys: pytest.CaptureFixture[str]) -> None:
    source, dest = tmp_path / "REDS", tmp_path / "dest"
    for split in ("train", "val"):
        parent = source / split if outer else source
        for frame in range(2):
            name = f"000/{frame:08d}.png"
            write_pair(parent / f"{split}_blur" / name, parent / f"{split}_sharp" / name, frame)
    assert main(["reds", str(source), str(dest)]) == 0
    manifest = manifest_of(dest)
    assert manifest["counts"] == {"train": 2, "val": 2}
    assert manifest["scenes"] == {"train": ["train_000"], "val": ["val_000"]}, "each counts its own from 000"
    assert (dest / "val/sharp/000_00000001.png").exists()
    assert not any("more than one split" in line for line in manifest["warnings"])
    capsys.readouterr()
    assert main(["reds", str(source), str(tmp_path / "other"), "--val-fraction", "0.5"]) == 1
    assert "has a val of its own" in capsys.readouterr().err


def test_reds_that_lies_there_in_both_ways_is_taken_once(tmp_path: Path) -> None:
    source = tmp_path / "REDS"
    for parent, count in ((source / "train", 1), (source, 2)):
        for frame in range(count):
            name = f"000/{frame:08d}.png"
            write_pair(parent / "train_blur" / name, parent / "train_sharp" / name, frame)
    assert main(["reds", str(source), str(tmp_path / "dest")]) == 0
    assert manifest_of(tmp_path / "dest")["counts"] == {"train": 1}, "those of the archives"


def test_sharp_photographs_keep_their_folders(tmp_path: Path) -> None:
    source, dest = tmp_path / "photos", tmp_path / "dest"
    for index in range(4):
        for folder in ("rome", "oslo", "lima"):
            write_picture(source / folder / f"IMG_{index}.jpg", textured(index))
    assert main(["sharp", str(source), str(dest), "--val-scenes", "oslo"]) == 0
    assert len(list((dest / "train/sharp").rglob("*.jpg"))) == 8
    assert (dest / "val/sharp/oslo/IMG_3.jpg").exists()
    assert not (dest / "train/blur").exists()
    assert manifest_of(dest)["pictures"][0]["blurred"] is None


def test_a_source_with_splits_keeps_them(tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    for split, count in (("train", 3), ("test", 2)):
        for index in range(count):
            name = f"seq{split}_{index:03d}.png"
            write_pair(source / split / "blur" / name, source / split / "sharp" / name, index)
    assert main(["pairs", str(source), str(dest)]) == 0
    assert manifest_of(dest)["counts"] == {"train": 3, "test": 2}


def test_a_split_that_is_named_takes_all_pairs_whatever_splits_the_source_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source"
    for seed, split in enumerate(("train", "val")):
        write_pair(source / split / "blur" / f"{split}_1.png", source / split / "sharp" / f"{split}_1.png", seed)
    assert main(["pairs", str(source), str(tmp_path / "dest"), "--split", "test"]) == 0
    assert manifest_of(tmp_path / "dest")["counts"] == {"test": 2}
    write_pair(source / "val" / "blur" / "train_1.png", source / "val" / "sharp" / "train_1.png", 2)
    assert main(["pairs", str(source), str(tmp_path / "other"), "--split", "test"]) == 1
    assert "would both be named test/train_1" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pairs", "missing", "dest"], "missing does not exist"),
        (["gopro", ".", "../dest"], "holds neither train/ nor test/"),
        (["reds", ".", "../dest"], "REDS was unpacked to"),
    ],
)
def test_a_wrong_source_is_one_clear_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["gopro", "a", "b", "--blur", "blurry"],
        ["hide", "a", "b", "--blur", "linear"],
        ["gopro", "a", "b", "--split", "test"],
        ["pairs", "a", "b", "--val-fraction", "0.1", "--val-scenes", "x"],
        ["pairs", "a", "b", "--val-fraction", "1"],
        ["pairs", "a", "b", "--scene-pattern", "("],
        ["gopro", "a", "b", "--scene-pattern", "x"],
        ["coco", "a", "b"],
        ["sharp", "", "b"],
        ["sharp", "a", ""],
    ],
)
def test_usage_errors_exit_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_a_share_of_no_training_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = next((make_gopro(tmp_path / "source", scenes=1) / "train").iterdir())
    given = ["sharp", str(folder / "sharp"), str(tmp_path / "dest"), "--split", "test"]
    assert main([*given, "--val-fraction", "0.5"]) == 1
    assert (
        capsys.readouterr().err
        == "error: --val-fraction is of the training pictures, and there are none; leave it out\n"
    )
    assert main([*given, "--val-fraction", "0"]) == 0


def test_a_dest_of_another_split_is_refused_before_its_pictures_are_blamed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = next((make_gopro(tmp_path / "source", scenes=1) / "train").iterdir())
    given = ["sharp", str(folder / "sharp"), str(tmp_path / "dest")]
    assert main([*given, "--split", "test"]) == 0
    before = state_of(tmp_path / "dest")
    capsys.readouterr()
    assert main([*given, "--val-fraction", "0"]) == 1
    assert "was prepared with split 'test', not None; choose another DEST" in capsys.readouterr().err
    path = tmp_path / "dest" / "manifest.json"
    earlier = json.loads(path.read_text())
    del earlier["settings"]["split"]
    path.write_text(json.dumps(earlier))
    assert main([*given, "--split", "test"]) == 0
    assert path.read_bytes() == before["manifest.json"][2]


def test_an_unknown_val_scene_names_those_there_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = make_gopro(tmp_path / "source", scenes=2)
    assert main(["gopro", str(source), str(tmp_path / "dest"), "--val-scenes", "nowhere"]) == 1
    assert "no training scene is named 'nowhere'; there are: GOPRtrain0, GOPRtrain1" in capsys.readouterr().err
    assert main(["gopro", str(source), str(tmp_path / "dest"), "--val-scenes", "GOPRtrain1", "GOPRtrain0"]) == 1
    assert "--val-scenes names every training scene; leave at least one to train on" in capsys.readouterr().err
    assert not (tmp_path / "dest").exists()


def test_the_choice_of_scenes_depends_on_the_seed_alone(tmp_path: Path) -> None:
    pairs = [
        Pair(f"{scene}_{index}", "train", f"scene{scene}", None, tmp_path / "x.png")
        for scene in range(12)
        for index in range(1 + scene % 4)
    ]
    alone = {pair.scene: pair.scene for pair in pairs}
    chosen = choose_scenes(pairs, 0.25, 3, alone)
    assert chosen == choose_scenes(pairs[::-1], 0.25, 3, alone)
    assert any(chosen != choose_scenes(pairs, 0.25, seed, alone) for seed in range(5))
    share = sum(pair.scene in chosen for pair in pairs) / len(pairs)
    assert 0.1 < share < 0.4
    assert len(choose_scenes(pairs, 0.001, 3, alone)) == 1
    assert len(choose_scenes(pairs, 0.999, 3, alone)) == 11


@pytest.mark.parametrize(
    ("key", "scene"),
    [
        ("GOPR0372_07_00_000047", "GOPR0372"),
        ("GOPR0384_11_00-000047_s001", "GOPR0384"),
        ("GOPR0384_11_05-000012_x448_y704", "GOPR0384"),
        ("trainFRANGCORS-kaggle000001_448_704", "trainFRANGCORS-kaggle000001"),
        ("trainFRANGCORS-kaggle000001_448x704", "trainFRANGCORS-kaggle000001"),
        ("walk_frame12_crop3", "walk"),
        ("walk_frame12", "walk"),
        ("frame0012", "frame"),
        ("seqA020-00000092", "seqA020"),
        ("unknownscene-Flower", "unknownscene-Flower"),
        ("view-from-above", "view-from-above"),
        ("12fromGOPR0950", "GOPR0950"),
        ("12fromGOPR1096.MP4", "GOPR1096.MP4"),
        ("GOPR0372_07_00/000047", "GOPR0372_07_00"),
        ("000/00000012", "000"),
        ("scene001/blur/blur_1", "scene001/blur"),
        ("walk/0001", "walk"),
        ("000000001234", "000000001234"),
        ("0001_64_0", "0001"),
        ("_12", "_12"),
        ("łódź1_000047", "łódź1"),
        ("北京0012", "北京"),
        ("北京街_s001_0002", "北京街"),
        ("café_0001", "café"),
    ],
)
def test_scene_of(key: str, scene: str) -> None:
    assert scene_of(key) == scene


@pytest.mark.parametrize(
    ("scene", "says_more"),
    [
        ("GOPR0384", True),
        ("DJI_0001", True),
        ("walk", True),
        ("GOPR", False),
        ("PXL", False),
        ("COCO_train2014", False),
        ("IMG_0001", False),
    ],
)
def test_names_that_only_count_name_no_scene(scene: str, says_more: bool) -> None:
    assert names_a_scene(scene) is says_more


@pytest.mark.parametrize(
    ("keys", "units"),
    [
        (
            ["GOPR0372_07_00_000047", "GOPR0372_07_00_000048", "GOPR0384_11_00_000001"],
            ["GOPR0372", "GOPR0372", "GOPR0384"],
        ),
        (["test/GOPR0372_1", "test/GOPR0372_2", "test/GOPR0384_1"], ["GOPR0372", "GOPR0372", "GOPR0384"]),
        (["000_00000012", "000_00000013", "001_00000012"], ["000", "000", "001"]),
        (["walk/1", "walk/2", "run/1", "3"], ["walk", "walk", "run", "3"]),
        (["IMG_0001", "IMG_0002", "walk_1", "walk_2"], ["IMG_0001", "IMG_0002", "walk", "walk"]),
        (["IMG_0001", "VID_20260101_120000_0001", "VID_20260101_120000_0002"], ["IMG_0001", "VID", "VID"]),
        (["PXL_1", "DJI_0001/1", "DJI_0001/2"], ["PXL_1", "DJI_0001", "DJI_0001"]),
    ],
)
def test_scenes_are_units_where_names_tell_them(keys: list[str], units: list[str]) -> None:
    found = units_of(keys)
    assert (list(found.of), list(found.of.values())) == (keys, units)
    assert (found.name, len(found)) == ("scene", len(set(units)))


@pytest.mark.parametrize(
    "keys",
    [
        ["000000000139", "000000000285"],
        ["val2017/000000000139", "val2017/000000000285"],
        ["2007_000027", "2007_000032", "2008_000002"],
        ["IMG_0001", "IMG_0002", "DSC_0001"],
        ["IMG_0001", "IMG_0002", "PXL_20260101_120000000", "PXL_20260101_120000001"],
        ["COCO_val2014_000000000042", "COCO_val2014_000000000073", "COCO_train2014_000000000009"],
        ["GOPR0001", "GOPR0002", "GP010003", "DJI_0001", "DJI_0002", "_DSC0001", "_DSC0002", "_MG_0001", "_MG_0002"],
        ["GOPR0372_07_00_000047", "GOPR0372_07_00_000048"],
        [],
    ],
)
def test_every_picture_is_a_unit_where_names_tell_no_scenes(keys: list[str]) -> None:
    found = units_of(keys)
    assert found.of == {key: key for key in keys}
    assert (found.name, len(found)) == ("picture", len(keys))


def test_crops_of_a_recording_stay_on_one_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"street-cam{camera}_{y}_{x}" for camera in range(4) for y in (0, 64) for x in (0, 192, 448)]
    source = tmp_path / "source"
    for seed, name in enumerate(names):
        write_pair(source / "blur" / f"{name}.png", source / "sharp" / f"{name}.png", seed)
    assert main(["pairs", str(source), str(tmp_path / "dest"), "--val-fraction", "0.25"]) == 0
    assert "train 18 of 3 scenes, val 6 of 1 scene;" in capsys.readouterr().out
    assert main(["pairs", str(source), str(tmp_path / "json"), "--val-fraction", "0.25", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scenes"] == {"train": 3, "val": 1}


def test_scenes_may_be_told_by_a_pattern(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    for seed, name in enumerate(("IMG_0001", "IMG_0002", "IMG_0103")):
        write_pair(source / "blur" / f"{name}.png", source / "sharp" / f"{name}.png", seed)
    assert main(["pairs", str(source), str(tmp_path / "one")]) == 0
    assert "of one scene, and none is set aside for val; tell scenes apart by" in capsys.readouterr().err
    for name, pattern, scenes in (("group", "IMG_(..)", ["00", "01"]), ("all", r".+\d", None)):
        dest = tmp_path / name
        assert main(["pairs", str(source), str(dest), "--scene-pattern", pattern, "--val-fraction", "0.4"]) == 0
        found = sorted(scene for split in manifest_of(dest)["scenes"].values() for scene in split)
        assert found == (scenes or ["IMG_0001", "IMG_0002", "IMG_0103"])
    assert "warning" not in capsys.readouterr().err
    assert main(["pairs", str(source), str(tmp_path / "none"), "--scene-pattern", "IMG_00.."]) == 1
    assert "--scene-pattern 'IMG_00..' finds no scene in 'IMG_0103': give one that fits" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_real_pairs_are_found_aligned(shared: Path, tmp_path: Path) -> None:
    assert main(["pairs", str(shared / "data" / "gopro_samples"), str(tmp_path / "dest"), "--split", "test"]) == 0
    manifest = manifest_of(tmp_path / "dest")
    assert manifest["counts"] == {"test": 3}
    assert manifest["warnings"] == []
    assert {(record["width"], record["height"]) for record in manifest["pictures"]} == {(1280, 720)}


def test_blurred_halves_of_pairs_are_not_prepared_as_sharp_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_gopro(tmp_path / "source", scenes=1)
    assert main(["sharp", str(source), str(tmp_path / "dest")]) == 1
    place = next((source / "train").iterdir())
    (line,) = capsys.readouterr().err.splitlines()
    assert f"sharp {source}: {place} (and " in line
    assert (
        f"holds blur/ beside sharp/, and what is blurred is not to be taken for sharp; give {place / 'sharp'}" in line
    )
    assert not (tmp_path / "dest").exists()


@pytest.fixture
def photographs(tmp_path: Path) -> Callable[..., list[dict]]:
    """Prepares photographs of these names, with further options; gives back the manifest's records."""

    def prepare(names: Sequence[str], *options: str) -> list[dict]:
        for seed, name in enumerate(names):
            write_picture(tmp_path / "photos" / f"{name}.png", textured(seed))
        assert main(["sharp", str(tmp_path / "photos"), str(tmp_path / "dest"), *options]) == 0
        return manifest_of(tmp_path / "dest")["pictures"]

    return prepare


def test_recordings_in_one_folder_of_sharp_pictures_stay_whole(photographs: Callable[..., list[dict]]) -> None:
    records = photographs(
        [f"GOPR00{recording}_11_{frame:06d}" for recording in "ABCD" for frame in range(5)], "--val-fraction", "0.25"
    )
    assert {record["scene"] for record in records} == {"GOPR00A", "GOPR00B", "GOPR00C", "GOPR00D"}
    assert len({record["scene"] for record in records if record["split"] == "val"}) == 1
    assert sum(record["split"] == "val" for record in records) == 5


@pytest.mark.parametrize(
    ("names", "scenes"),
    [
        (["IMG_0001", "IMG_0002", "DSC_0001"], ["IMG_0001", "IMG_0002", "DSC_0001"]),
        (["000000000139", "000000000285"], ["000000000139", "000000000285"]),
        (["2007_000027", "2007_000032", "2008_000002"], ["2007_000027", "2007_000032", "2008_000002"]),
        (["walk_1", "walk_2", "oslo/1", "oslo/2"], ["walk", "walk", "oslo", "oslo"]),
        (["oslo/walk_1", "oslo/run_1", "rome/walk_1"], ["oslo", "oslo", "rome"]),
    ],
)
def test_scenes_of_photographs(photographs: Callable[..., list[dict]], names: list[str], scenes: list[str]) -> None:
    records = photographs(names, "--val-fraction", "0")
    assert {record["name"]: record["scene"] for record in records} == dict(zip(names, scenes, strict=True))


@pytest.mark.parametrize(
    ("names", "options", "warned"),
    [
        (["holiday_1", "holiday_2"], [], True),
        (["holiday_1", "holiday_2"], ["--scene-pattern", ".+"], False),
        (["holiday_1", "holiday_2"], ["--val-fraction", "0"], False),
        (["IMG_1", "IMG_2"], [], False),
    ],
)
def test_one_name_of_pictures_in_two_splits_is_said(
    photographs: Callable[..., list[dict]],
    names: list[str],
    options: list[str],
    warned: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    photographs(names, *options)
    assert ("pictures that are named holiday, each taken as a scene by itself" in capsys.readouterr().err) == warned


@pytest.mark.parametrize("copy", [shutil.copy, os.link, os.symlink])
def test_scenes_that_share_a_file_stay_on_one_side(
    tmp_path: Path, copy: Callable[[Path, Path], object], capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "photos"
    for seed, name in enumerate(("a/1", "b/1", "c/1", "d/1")):
        write_picture(source / f"{name}.png", textured(seed))
    for one, other in (("d/1", "a/9"), ("a/1", "c/9")):  # so that c is with d
        copy(source / f"{one}.png", source / f"{other}.png")
    assert main(["sharp", str(source), str(tmp_path / "dest"), "--val-fraction", "0.3"]) == 0
    assert manifest_of(tmp_path / "dest")["scenes"] == {"train": ["a", "c", "d"], "val": ["b"]}
    assert "warning" not in capsys.readouterr().err
    assert main(["sharp", str(source), str(tmp_path / "other"), "--val-scenes", "d", "c"]) == 0
    line = "2 sharp pictures are equal to one of another split: train/a/1 and val/c/9, train/a/9 and val/d/1"
    assert manifest_of(tmp_path / "other")["warnings"] == [line]
    assert line in capsys.readouterr().err


def test_equal_files_in_all_scenes_leave_none_to_set_aside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("holiday", "backup"):
        write_picture(tmp_path / "photos" / folder / "1.png", textured(1))
    assert main(["sharp", str(tmp_path / "photos"), str(tmp_path / "dest")]) == 0
    assert "are of scenes that share equal files, and none is set aside for val; leave" in capsys.readouterr().err
    assert manifest_of(tmp_path / "dest")["counts"] == {"train": 2}


def test_equal_files_in_splits_of_the_source_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    for split, name, seed in (("train", "t", 1), ("val", "v", 1), ("test", "x", 2), ("train", "x", 3)):
        write_pair(source / split / "blur" / f"{name}.png", source / split / "sharp" / f"{name}.png", seed)
    assert main(["pairs", str(source), str(tmp_path / "dest")]) == 0
    assert "1 sharp pictures are equal to one of another split: train/t and val/v\n" in capsys.readouterr().err
