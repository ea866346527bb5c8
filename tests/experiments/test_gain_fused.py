"""Boxes of two looks, one of them at a mirror image, fused: on the small experiment of conftest.py."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deblur.blur import parse_blur
from deblur.outcome import Outcome
from deblur.picture_folders import list_pictures
from deblur.pictures import read_picture
from detection.fusion import Looks
from detection.types import Detections
from experiments.common.cache import Cache
from experiments.common.file_names import file_name_of
from experiments.common.narrator import Narrator
from experiments.gain.arms import build_arms
from experiments.gain.files import read_metrics, read_predictions
from experiments.gain.fused import FusedSet, fused_boxes, fused_records
from experiments.gain.loading import tools_on
from experiments.gain.measure import measure
from experiments.gain.plan import plan
from experiments.gain.records import DeblurrerRecord
from pipelines.motions import Motions
from tests.experiments.gain_runs import STEMS, run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from experiments.gain.picture_sets import PictureSet
    from experiments.gain.settings import LoadedDeblurrer, Settings


def test_boxes_of_two_looks_are_fused(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, fuse=True), folder, fakes.tools)
    (result,) = gain.results
    unmove, idle, control = (
        result.arms[f"deblurred:{name}"] for name in ("unmove+mirrored", "idle+mirrored", "mirrored+blurred")
    )
    # A picture's two boxes are too far apart to be one. Their scores are equal, so those of restored pictures, which
    # weigh more and are right, rank before all others.
    assert (unmove.ap, unmove.n_predictions) == (pytest.approx(1), 8)
    assert (idle.ap, idle.n_predictions) == (0, 4)
    assert (control.ap, control.n_predictions) == (0, 4)
    assert result.recovered["unmove+mirrored"].value == pytest.approx(1)
    assert result.harm["unmove+mirrored"].value == pytest.approx(0.5)  # there the wrong box of each picture is first
    assert result.harm["mirrored+blurred"].value == 0
    assert set(result.harm_looking_twice) == {"unmove+mirrored", "idle+mirrored"}
    assert result.harm_looking_twice["unmove+mirrored"].value == pytest.approx(0.5)
    assert result.harm_looking_twice["idle+mirrored"].value == 0
    assert set(result.beyond_control) == {"unmove+mirrored", "idle+mirrored"}
    assert result.beyond_control["unmove+mirrored"].value == pytest.approx(1)  # the control finds nothing
    # The picture beside fused boxes is the restored one, of the control the blurred one.
    assert unmove.n_exact == 4
    assert control.ssim == result.arms["blurred"].ssim != unmove.ssim
    assert [(record.name, record.kind) for record in gain.deblurrers] == [
        ("unmove", "network"),
        ("idle", "network"),
        ("unmove+mirrored", "fused"),
        ("idle+mirrored", "fused"),
        ("mirrored+blurred", "fused"),
    ]
    assert len({record.sha256 for record in gain.deblurrers}) == 5
    assert read_metrics(folder) == gain
    # Mirrored pictures are all that is new to the detector, of each set once, some like others to the pixel.
    assert 4 * 3 < fakes.seen <= 4 * (3 + 3)


def test_the_second_look_is_at_a_mirror_image(settings: Settings, folder: Path, fakes: Any) -> None:
    blurs = (parse_blur("straight:200"),)
    told = dataclasses.replace(settings, blurred=None, blurs=blurs, deblurrers=("unmove", "unmove+gyro"), fuse=True)
    arms = build_arms(plan(told, fakes.tools), Cache(folder, "code"), folder)
    (blur,) = arms.blurred

    def looks(pictures: PictureSet) -> tuple[NDArray[np.uint8], ...]:
        assert isinstance(pictures, FusedSet)
        return tuple(part.pixels("a") for part in (pictures.first("a"), pictures.second))

    came, mirrored = looks(arms.deblurred[blur, "unmove+mirrored"])
    np.testing.assert_array_equal(came, arms.blurred[blur].pixels("a"))
    np.testing.assert_array_equal(mirrored[:, ::-1], arms.deblurred[blur, "unmove"].pixels("a"))
    restored, mirrored = looks(arms.deblurred[blur, "unmove+gyro+mirrored"])
    np.testing.assert_array_equal(restored, arms.deblurred[blur, "unmove+gyro"].pixels("a"))
    np.testing.assert_array_equal(mirrored[:, ::-1], restored)
    came, mirrored = looks(arms.through["unmove+mirrored"])
    assert arms.sharp is not None
    np.testing.assert_array_equal(came, arms.sharp.pixels("a"))
    np.testing.assert_array_equal(mirrored[:, ::-1], arms.through["unmove"].pixels("a"))


@pytest.mark.parametrize(
    ("believed", "at_restored", "share"), [(0.49, False, 0.6), (0.5, True, 0.5), (None, True, 0.5)]
)
def test_a_path_that_is_not_believed_is_not_looked_at_either(
    settings: Settings, folder: Path, fakes: Any, believed: float | None, at_restored: bool, share: float
) -> None:
    class Doubting:
        def __call__(self, *_: Any) -> NDArray[np.uint8]:
            raise AssertionError("how far the path is believed is asked for")

        def restore_along(self, picture: NDArray[np.uint8], _: Any) -> Outcome:
            return Outcome(np.full_like(picture, 9), believed)

    def load(name: str) -> LoadedDeblurrer:
        return dataclasses.replace(fakes.tools.load_deblurrer(name), restore=Doubting())

    blurs = (parse_blur("straight:200"),)
    told = dataclasses.replace(settings, blurred=None, blurs=blurs, deblurrers=("unmove+gyro",), fuse=True)
    for _ in range(2):  # and as the cache remembers it
        planned = plan(told, dataclasses.replace(fakes.tools, load_deblurrer=load))
        arms = build_arms(planned, Cache(folder, "code"), folder)
        (blur,) = arms.blurred
        fused = arms.deblurred[blur, "unmove+gyro+mirrored"]
        assert isinstance(fused, FusedSet)
        assert fused.first("a") is (arms.deblurred[blur, "unmove+gyro"] if at_restored else arms.blurred[blur])
        assert fused.looks("a").share == share


def test_where_the_blur_is_long_the_second_look_is_smaller(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    class Seeing:
        """Takes all but one sharp picture for long blurred ones, and believes paths that it is told or finds."""

        def __init__(self, name: str) -> None:
            self.name = name

        def restore_along(self, picture: NDArray[np.uint8], path: Any) -> Outcome:
            spread = None if self.name == "idle" else 0.001 if (picture == sharp_one).all() else 0.01
            return Outcome(picture, 1.0 if path is not None or self.name == "unmove2" else None, spread)

    def load(name: str) -> LoadedDeblurrer:
        return dataclasses.replace(fakes.tools.load_deblurrer(name), restore=Seeing(name))

    sharp_one = read_picture(list_pictures(settings.sharp)[0])
    blurs = (parse_blur("straight:200"), parse_blur("none,shot=0,read=0,jpeg=0"))
    names = ("idle", "unmove", "unmove+gyro", "unmove2")
    for spec in blurs:
        shutil.copytree(data / "blurred", data / "peer" / file_name_of(str(spec)))
    peers = (("theirs", data / "peer"),)
    told = dataclasses.replace(settings, blurred=None, blurs=blurs, deblurrers=names, peers=peers, fuse=True)
    arms = build_arms(plan(told, dataclasses.replace(fakes.tools, load_deblurrer=load)), Cache(folder, "code"), folder)

    def looks(pictures: PictureSet, stem: str = "a") -> Looks:
        assert isinstance(pictures, FusedSet)
        its = pictures.looks(stem)
        np.testing.assert_array_equal(pictures.second.pixels(stem), its.second(pictures.pixels(stem)))
        return its

    long, none = arms.blurred
    fused = [(blur, name) for (blur, name), pictures in arms.deblurred.items() if isinstance(pictures, FusedSet)]
    assert {name: looks(arms.deblurred[blur, name]) for blur, name in fused if blur == long} == {
        "idle+mirrored": Looks(False, 0.6, 1),  # it does not see how long the blur is
        "unmove+mirrored": Looks(False, 0.6, 0.7),
        "unmove+gyro+mirrored": Looks(True, 0.5, 1),  # what is restored along a path that is told is not soft
        "unmove2+mirrored": Looks(True, 0.5, 0.7),  # it searches
        "theirs+mirrored": Looks(False, 0.6, 0.7),  # as small as what was restored
        "mirrored+blurred": Looks(False, 0.5, 0.7),  # likewise
    }
    for name in ("unmove+mirrored", "mirrored+blurred"):
        assert looks(arms.through[name]).scale == 1
        assert looks(arms.deblurred[none, name]).scale == 1  # each blur by itself
    assert looks(arms.through["unmove+mirrored"], "b").scale == 0.7
    assert looks(arms.through["mirrored+blurred"], "b").scale == 1  # it looks at what nobody blurred as it is


def test_what_gives_the_second_look_its_size_tells_controls_apart(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    names = ("idle", "unmove+gyro", "unmove", "unmove2")
    blurs = (parse_blur("straight:200"),)
    peers = (("theirs", data / "blurred"),)
    told = dataclasses.replace(settings, blurred=None, blurs=blurs, deblurrers=names, peers=peers, fuse=True)

    def digests(**guides: str) -> dict[str, str]:
        def load(name: str) -> LoadedDeblurrer:
            return dataclasses.replace(fakes.tools.load_deblurrer(name), guide=guides.get(name.replace("+", "_")))

        measured = measure(
            plan(told, dataclasses.replace(fakes.tools, load_deblurrer=load)), folder, Narrator(silent=True)
        )
        assert measured is not None
        return {record.name: record.sha256 for record in measured.deblurrers}

    sized = digests(unmove="a", unmove2="b")
    assert digests(unmove_gyro="b", unmove="a", unmove2="a") == sized  # the first that is told no path decides
    for other in (digests(unmove="b", unmove2="b"), digests(unmove_gyro="a")):
        assert {name for name, digest in sized.items() if other[name] != digest} == {
            "theirs+mirrored",
            "mirrored+blurred",
        }


def test_boxes_that_are_fused_otherwise_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, searching = DeblurrerRecord("a", "network", "one"), DeblurrerRecord("b", "network", "two", search="three")

    def digests(*told: str) -> list[str | None]:
        return [record.sha256 for record in fused_records([plain, searching], told, None)]

    before = digests()
    assert [one == other for one, other in zip(digests("a"), before, strict=True)] == [False, True, True]
    monkeypatch.setattr("experiments.gain.protocol.BELIEVED", 0.4)
    assert [one == other for one, other in zip(digests(), before, strict=True)] == [True, False, True]
    monkeypatch.setattr("experiments.gain.protocol.EVEN_SHARE", 0.4)
    assert not set(digests()) & set(before)


def test_networks_in_single_and_in_half_precision_have_one_guide() -> None:
    guides = [
        tools_on("cpu", 640).load_deblurrer(f"mstsgm-{name}").guide for name in ("guided", "guided-large", "nano")
    ]
    assert guides[0] == guides[1] is not None
    assert guides[2] is None


def test_two_looks_at_one_picture_weigh_the_same(
    settings: Settings, tmp_path: Path, folder: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = type(fakes.tools.load_detector("finder").detector)
    find = finder._find

    def surer_on_the_left(self: Any, picture: NDArray[np.uint8]) -> Detections:
        red = find(self, picture)
        return Detections.ordered(red.boxes, [0.8 if red.boxes[0, [0, 2]].mean() < 32 else 0.3], red.class_names)

    monkeypatch.setattr(finder, "_find", surer_on_the_left)
    for stem in STEMS:
        (tmp_path / f"{stem}.csv").write_text("t,x,y\n0,0,0\n1,3,0\n")
    names = ("unmove", "idle", "unmove+gyro")
    told = dataclasses.replace(settings, deblurrers=names, motions=Motions(tmp_path, None, None), fuse=True)
    run(told, folder, fakes.tools)
    # A square is on the left of sharp and restored pictures, on the right of blurred ones, mirrored the other way.
    saved = read_predictions(folder)
    for arm, scores in {
        "deblurred:unmove+mirrored": [0.6 * 0.3, 0.4 * 0.3],  # of two places
        "deblurred:idle+mirrored": [0.4 * 0.3 + 0.6 * 0.8],
        "deblurred:unmove+gyro+mirrored": [0.5 * 0.8 + 0.5 * 0.3],
        "deblurred:mirrored+blurred": [0.5 * 0.3 + 0.5 * 0.8],
        "sharp-through:idle+mirrored": [0.4 * 0.8 + 0.6 * 0.3],
        "sharp-through:unmove+gyro+mirrored": [0.5 * 0.8 + 0.5 * 0.3],
        "sharp-through:mirrored+blurred": [0.5 * 0.8 + 0.5 * 0.3],
    }.items():
        for stem in STEMS:
            assert saved.boxes("finder", "blurred", arm, stem).scores == pytest.approx(scores), (arm, stem)


def test_of_two_looks_no_more_boxes_are_kept_than_of_one() -> None:
    def look(top: int, scores: NDArray[np.float64]) -> Detections:
        boxes = [[4 * column, top, 4 * column + 3, top + 3] for column in range(200)]
        return Detections.ordered(boxes, scores, ["red"] * 200)

    scores = np.arange(400, 0, -1) / 400
    kept = fused_boxes(look(0, scores[::2]), look(9, scores[1::2]), 0.5)
    assert len(kept) == 300
    assert kept.scores == pytest.approx(scores[:300] / 2)
    assert set(kept.boxes[:, 1]) == {0, 9}


def test_real_blur_is_fused_without_a_sharp_arm(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, sharp=None, fuse=True, deblurrers=("unmove",)), folder, fakes.tools)
    assert list(gain.results[0].arms) == [
        "blurred",
        "deblurred:unmove",
        "deblurred:unmove+mirrored",
        "deblurred:mirrored+blurred",
    ]
    assert gain.results[0].harm["unmove+mirrored"].value is None
    assert gain.results[0].harm_looking_twice["unmove+mirrored"].value is None
