"""What a detection-gain run finds and writes: figures of arms, the table of them, boxes and examples."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deblur.blur import parse_blur
from deblur.pictures import read_picture, write_picture
from detection.bootstrap import Interval
from detection.errors import DetectionError
from detection.scoring import score
from detection.truth import read_truth
from detection.types import Detections
from experiments.common.narrator import Narrator
from experiments.common.printed_table import with_interval
from experiments.gain import measure as measuring
from experiments.gain.files import read_curves, read_metrics, read_predictions
from experiments.gain.measure import measure
from experiments.gain.plan import plan
from experiments.gain.run_table import run_table
from tests.experiments.gain_runs import STEMS, rows_of, run

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from experiments.gain.settings import Settings


def test_every_arm_has_the_figures_worked_out_by_hand(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(settings, folder, fakes.tools)
    (result,) = gain.results
    assert {arm: score.ap for arm, score in result.arms.items()} == {
        "sharp": pytest.approx(1),
        "blurred": 0,
        "deblurred:unmove": pytest.approx(1),
        "deblurred:idle": 0,
        "sharp-through:unmove": 0,
        "sharp-through:idle": pytest.approx(1),
    }
    assert {name: one.value for name, one in result.recovered.items()} == {"unmove": pytest.approx(1), "idle": 0}
    assert {name: one.value for name, one in result.ap_difference.items()} == {"unmove": pytest.approx(1), "idle": 0}
    assert {name: one.value for name, one in result.harm.items()} == {"unmove": pytest.approx(1), "idle": 0}
    for interval in (*result.recovered.values(), *result.ap_difference.values(), *result.harm.values()):
        assert (interval.low, interval.high) == (None, None)  # four pictures are too few
    assert result.consistency["deblurred:unmove"].consistency == pytest.approx(1)
    assert result.consistency["blurred"].consistency == 0
    assert "sharp" not in result.consistency
    for score_of_arm in result.arms.values():
        assert (score_of_arm.n_pictures, score_of_arm.n_truths, score_of_arm.n_predictions) == (4, 4, 4)
    assert result.arms["sharp"].per_class == {
        "blue": {"ap": None, "n_truths": 0},
        "red": {"ap": pytest.approx(1), "n_truths": 4},
    }
    assert read_metrics(folder) == gain


def test_intervals_of_pictures_that_all_say_the_same(settings_of_six: Settings, folder: Path, fakes: Any) -> None:
    (result,) = run(dataclasses.replace(settings_of_six, fuse=True), folder, fakes.tools).results
    for interval in (result.recovered["unmove"], result.ap_difference["unmove"], result.harm["unmove"]):
        assert interval.low == interval.high == interval.value == pytest.approx(1)
    assert (result.arms["sharp"].ap_low, result.arms["sharp"].ap_high) == pytest.approx((1, 1))
    assert result.beyond_control["unmove+mirrored"].low > 0
    assert (result.beyond_control["idle+mirrored"].low, result.beyond_control["idle+mirrored"].high) == (0, 0)


def test_restoration_is_scored_against_sharp_and_exact_matches_are_counted_apart(
    settings: Settings, folder: Path, fakes: Any
) -> None:
    arms = run(dataclasses.replace(settings, deblurrers=("idle",)), folder, fakes.tools).results[0].arms
    # 2 strips of 8x20 pixels differ, by 160 in red and 80 in green and blue.
    error = 2 * 8 * 20 * (160**2 + 80**2 + 80**2) / (48 * 64 * 3)
    assert arms["blurred"].psnr == pytest.approx(10 * np.log10(255**2 / error))
    assert (arms["blurred"].n_exact, arms["blurred"].n_psnr) == (0, 4)
    assert arms["blurred"].ssim is not None
    assert arms["blurred"].ssim < 0.95
    sharp = arms["sharp"]
    assert (sharp.psnr, sharp.ssim, sharp.n_exact, sharp.n_psnr) == (None, None, None, None)
    # Compared with no other arm: it leaves sharp pictures as they are, and that takes no picture from the blurred ones.
    through = arms["sharp-through:idle"]
    assert (through.psnr, through.n_exact, through.n_psnr) == (None, 4, 0)


def test_equal_pictures_are_each_compared_with_their_own_sharp_one(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    sharp = {stem: read_picture(data / "sharp" / f"{stem}.png").copy() for stem in STEMS}
    sharp["a"][:8] = 255
    write_picture(data / "sharp" / "a.png", sharp["a"])
    for stem in STEMS:
        write_picture(data / "black" / f"{stem}.png", np.zeros((48, 64, 3), np.uint8))
    run(dataclasses.replace(settings, deblurrers=(), peers=(("theirs", data / "black"),)), folder, fakes.tools)
    psnr = {row["picture"]: float(row["psnr"]) for row in rows_of(folder) if row["arm"] == "deblurred:theirs"}
    assert psnr == {
        stem: pytest.approx(10 * np.log10(255**2 / np.mean(picture.astype(float) ** 2)))
        for stem, picture in sharp.items()
    }
    assert psnr["a"] < psnr["b"]


def test_arms_of_a_blur_average_psnr_over_the_same_pictures(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    for stem in STEMS:
        picture = read_picture(data / "blurred" / f"{stem}.png").copy()
        picture[0, 0] += 9
        picture[: 8 if stem == "b" else 0] = 0  # so that a mean with b in it is another one
        write_picture(data / "peer" / f"{stem}.png", picture)
    shutil.copy(data / "sharp" / "b.png", data / "blurred" / "b.png")
    gain = run(
        dataclasses.replace(settings, deblurrers=("idle",), peers=(("theirs", data / "peer"),), fuse=True),
        folder,
        fakes.tools,
    )
    arms = gain.results[0].arms
    psnr = {(row["arm"], row["picture"]): row["psnr"] for row in rows_of(folder)}
    ssim = {(row["arm"], row["picture"]): float(row["ssim"]) for row in rows_of(folder) if row["ssim"]}
    assert psnr["blurred", "b"] == psnr["deblurred:idle", "b"] == ""
    assert float(psnr["deblurred:theirs", "b"]) < float(psnr["deblurred:theirs", "a"]) - 1
    for arm in ("blurred", "deblurred:idle", "deblurred:theirs", "deblurred:theirs+mirrored"):
        expected = np.mean([float(psnr[arm, stem]) for stem in "acd"])
        assert (arms[arm].psnr, arms[arm].n_psnr) == (pytest.approx(expected), 3)
        assert arms[arm].ssim == pytest.approx(np.mean([ssim[arm, stem] for stem in STEMS]))  # of exact ones too
    assert (arms["blurred"].n_exact, arms["deblurred:theirs"].n_exact) == (1, 0)
    assert arms["deblurred:theirs"].psnr < arms["blurred"].psnr  # it made each of them worse
    assert "finder, blurred; PSNR over the 3 of 4 pictures that no arm has exactly" in run_table(gain).splitlines()


def test_what_is_exact_at_one_blur_is_averaged_at_the_others(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    for stem in STEMS:
        write_picture(data / "peer" / "straight-12" / f"{stem}.png", read_picture(data / "sharp" / f"{stem}.png"))
        write_picture(data / "peer" / "straight-16" / f"{stem}.png", np.zeros((48, 64, 3), np.uint8))
    changed = dataclasses.replace(
        settings,
        blurred=None,
        blurs=(parse_blur("straight:12"), parse_blur("straight:16")),
        deblurrers=(),
        peers=(("theirs", data / "peer"),),
    )
    results = run(changed, folder, fakes.tools).results
    assert [result.arms["blurred"].n_psnr for result in results] == [0, 4]


def test_the_table_says_how_many_pictures_have_no_psnr(settings: Settings, folder: Path, fakes: Any) -> None:
    arms = run_table(run(settings, folder, fakes.tools)).partition("recovered fraction")[0]
    rows = {line.split()[0]: line.split() for line in arms.splitlines() if line}
    assert rows["arm"][-3:] == ["PSNR", "SSIM", "exact"]
    assert rows["sharp-through:idle"][-3:] == ["-", "1.0000", "4"]
    assert rows["blurred"][-1] == "0"
    assert rows["sharp"][-3:] == ["-", "-", "-"]
    assert rows["blurred"][-3] == "-"  # every picture of it is exact in another arm


def test_the_table_has_every_figure_in_its_own_column(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, deblurrers=("unmove",)), folder, fakes.tools)
    (result,) = gain.results
    of_arm = {"ap": 0.11, "ap50": 0.12, "ap75": 0.13, "ap_small": 0.14, "ap_medium": 0.15, "ap_large": 0.16}
    of_arm |= {"ar": 0.17, "n_predictions": 18, "psnr": 19.25, "ssim": 0.9876, "n_exact": 2}
    agreement = dataclasses.replace(result.consistency["blurred"], consistency=0.21, consistency50=0.22)
    gains = {
        name: {"unmove": Interval(value, value - 0.01, value + 0.02, 0.95, 40, 0)}
        for name, value in (("recovered", 0.31), ("ap_difference", 0.32), ("harm", 0.33))
    }
    arms = {"blurred": dataclasses.replace(result.arms["blurred"], **of_arm)}
    told = dataclasses.replace(result, arms=arms, consistency={"blurred": agreement}, **gains)
    lines = [re.split(" {2,}", line) for line in run_table(dataclasses.replace(gain, results=[told])).splitlines()]
    heads = [line for line in lines if line[0] in {"arm", "deblurrer", "consistency with own sharp boxes"}]
    assert [dict(zip(head, lines[lines.index(head) + 1], strict=True)) for head in heads] == [
        {
            "arm": "blurred",
            "AP": "0.110",
            "AP50": "0.120",
            "AP75": "0.130",
            "small": "0.140",
            "medium": "0.150",
            "large": "0.160",
            "AR": "0.170",
            "boxes": "18",
            "PSNR": "19.25",
            "SSIM": "0.9876",
            "exact": "2",
        },
        {
            "deblurrer": "unmove",
            "recovered fraction": "0.310 [0.300, 0.330]",
            "AP difference": "0.320 [0.310, 0.340]",
            "harm to sharp pictures": "0.330 [0.320, 0.350]",
        },
        {"consistency with own sharp boxes": "blurred", "mean": "0.210", "IoU .50": "0.220"},
    ]


def test_blurred_pictures_that_are_sharp_ones_are_counted(
    settings: Settings, folder: Path, data: Path, fakes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(data / "sharp" / "b.png", data / "blurred" / "b.png")
    for loud, said in ((settings, True), (dataclasses.replace(settings, sharp=None), False)):
        measure(plan(loud, fakes.tools), folder, Narrator())
        line = "blurred: 1 of 4 blurred pictures equal their sharp one, pixel by pixel"
        assert (line in capsys.readouterr().err) is said
    shutil.copy(data / "sharp" / "b.png", data / "blurred" / "c.png")  # another one's sharp picture is no equal
    measure(plan(settings, fakes.tools), folder, Narrator())
    assert line in capsys.readouterr().err


def test_nothing_is_said_where_all_pictures_are_blurred(
    settings: Settings, folder: Path, fakes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(plan(settings, fakes.tools), folder, Narrator())
    assert "equal" not in capsys.readouterr().err


def test_what_is_saved_scores_the_same_again(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(settings, folder, fakes.tools)
    truth = read_truth(settings.annotations, ("blue", "red"))
    saved = read_predictions(folder)
    for arm, expected in gain.results[0].arms.items():
        found = {}
        for stem in STEMS:
            boxes = saved.boxes("finder", "blurred", arm, stem)
            names = [saved.class_names[index] for index in boxes.classes]
            found[stem] = Detections.ordered(boxes.boxes, boxes.scores, names)
        assert score(truth, found).ap == expected.ap
    assert [entry.truth.boxes for entry in saved.truths] == [
        [[16.0 + index, 10.0 + index, 36.0 + index, 30.0 + index]] for index in range(4)
    ]
    assert {saved.class_names[index] for entry in saved.truths for index in entry.truth.classes} == {"red"}
    assert saved.truths[0].file_name == "a.jpg"
    rows = {(row["picture"], row["arm"]): row for row in rows_of(folder)}
    assert len(rows) == 6 * 4
    assert [float(rows["a", arm]["f1"]) for arm in ("sharp", "blurred", "deblurred:unmove")] == [1, 0, 1]
    assert {row["blur"] for (_, arm), row in rows.items() if arm.startswith("sharp")} == {""}
    curves = {curve.arm: curve.values for curve in read_curves(folder)}
    assert curves["sharp"].precision50 == pytest.approx([1.0] * 101)
    assert curves["blurred"].precision == pytest.approx([0.0] * 101)


def test_boxes_of_one_detector_are_let_go_of_before_the_next(
    settings: Settings, folder: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[weakref.ref[NDArray[np.float32]]] = []
    left: list[int] = []
    boxes_of, score_of = measuring._boxes, measuring.score_detector

    def boxes(*arguments: Any) -> Any:
        left.append(sum(ref() is not None for ref in before))
        return boxes_of(*arguments)

    def scored(*arguments: Any) -> Any:
        found = arguments[3]
        before.extend(weakref.ref(each.boxes) for by_stem in found.values() for each in by_stem.values())
        return score_of(*arguments)

    monkeypatch.setattr(measuring, "_boxes", boxes)
    monkeypatch.setattr(measuring, "score_detector", scored)
    run(dataclasses.replace(settings, detectors=("one", "two", "narrow")), folder, fakes.tools)
    assert left == [0, 0, 0]
    assert len(before) == 3 * 6 * 4
    saved = read_predictions(folder)
    arms = [("", "sharp"), ("", "sharp-through:unmove"), ("", "sharp-through:idle")]
    arms += [("blurred", arm) for arm in ("blurred", "deblurred:unmove", "deblurred:idle")]
    expected = [(name, *arm, stem) for name in ("one", "two", "narrow") for arm in arms for stem in STEMS]
    assert list(saved.predicted) == expected
    assert (saved.class_names, saved.predicted["narrow", "", "sharp", "a"].classes) == (["blue", "red"], [1])


def test_a_run_that_fails_while_it_scores_leaves_no_part_of_predictions(
    settings: Settings, folder: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    score_of = measuring.score_detector

    def second_fails(*arguments: Any) -> Any:
        if arguments[1] == "two":
            raise DetectionError("as it may be")
        return score_of(*arguments)

    monkeypatch.setattr(measuring, "score_detector", second_fails)
    with pytest.raises(DetectionError, match="as it may be"):
        run(dataclasses.replace(settings, detectors=("one", "two")), folder, fakes.tools)
    assert {path.name for path in folder.iterdir()} == {"cache", "pictures"}


def test_examples_show_where_restoring_helped_and_hurt(settings: Settings, folder: Path, fakes: Any) -> None:
    (result,) = run(settings, folder, fakes.tools).results
    assert [(example.effect, example.deblurrer, example.rank, example.picture) for example in result.examples] == [
        ("helped", "unmove", rank, stem) for rank, stem in ((1, "a"), (2, "b"), (3, "c"))
    ]
    example = result.examples[0]
    assert (example.blurred_f1, example.deblurred_f1) == (0, 1)
    drawn = read_picture(folder / example.file)
    assert drawn.shape[1] > 3 * 64  # sharp, blurred and restored beside each other
    assert set(example.pictures) == set(result.arms)
    assert all(read_picture(folder / file).shape == (48, 64, 3) for file in example.pictures.values())


def test_examples_are_drawn_with_the_boxes_that_their_scores_count(
    settings: Settings, folder: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    finder = type(fakes.tools.load_detector("finder").detector)
    find = finder._find

    def find_faint_ones_too(self: Any, picture: np.ndarray) -> Detections:
        found = find(self, picture)
        more = {"scores": [0.25, 0.24, 0.01], "class_names": ["red"] * 3}
        boxes = [[place, 1, place + 9, 9] for place in (1, 11, 21)]
        scores, names = ([*getattr(found, part), *values] for part, values in more.items())
        return Detections.ordered([*found.boxes, *boxes], scores, names)

    drawn: list[list[float]] = []

    def draw(picture: np.ndarray, found: Detections) -> np.ndarray:
        drawn.append(found.scores.tolist())
        return picture

    monkeypatch.setattr(finder, "_find", find_faint_ones_too)
    monkeypatch.setattr("experiments.gain.examples.draw_detections", draw)
    run(settings, folder, fakes.tools)
    assert drawn
    assert all(scores == pytest.approx([0.9, 0.25]) for scores in drawn)


def test_boxes_of_classes_that_are_not_annotated_do_not_count(
    settings: Settings, folder: Path, tmp_path: Path, fakes: Any, more_fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The annotations know nothing of blue, of which the detector finds something in every sharp picture."""
    finder = type(fakes.tools.load_detector("finder").detector)
    find = finder._find

    def find_blue_too(self: Any, picture: np.ndarray) -> Detections:
        red = find(self, picture)
        return Detections.ordered([*red.boxes, [1, 1, 9, 9]], [*red.scores, 0.8], [*red.class_names, "blue"])

    monkeypatch.setattr(finder, "_find", find_blue_too)
    gain = run(settings, folder, fakes.tools)
    assert gain.data["reports"]["finder"]["classes_not_annotated"] == ["blue"]
    sharp = [row for row in rows_of(folder) if row["arm"] == "sharp"]
    assert {(row["f1"], row["n_predictions"], row["n_confident"]) for row in sharp} == {("1.0", "1", "1")}
    other = tmp_path / "chosen"
    other.mkdir()
    run(dataclasses.replace(settings, classes=("blue", "red")), other, more_fakes.tools)
    sharp = [row for row in rows_of(other) if row["arm"] == "sharp"]
    assert {(round(float(row["f1"]), 3), row["n_confident"]) for row in sharp} == {(0.667, "2")}


def test_a_deblurrer_that_hurts_has_hurt_examples(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    swapped = dataclasses.replace(settings, sharp=data / "sharp", blurred=data / "sharp", deblurrers=("unmove",))
    (result,) = run(swapped, folder, fakes.tools).results
    assert {example.effect for example in result.examples} == {"hurt"}
    assert result.recovered["unmove"].value is None  # sharp is no better than "blurred" here
    assert result.ap_difference["unmove"].value == pytest.approx(-1)


def test_real_blur_has_no_sharp_arm_and_no_recovered_fraction(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, sharp=None), folder, fakes.tools)
    (result,) = gain.results
    assert list(result.arms) == ["blurred", "deblurred:unmove", "deblurred:idle"]
    for interval in (*result.recovered.values(), *result.harm.values()):
        assert (interval.value, interval.low, interval.high) == (None, None, None)
    assert result.ap_difference["unmove"].value == pytest.approx(1)
    assert result.consistency == {}
    assert result.arms["blurred"].psnr is None
    assert gain.data["sharp"] is None
    document = json.loads((folder / "metrics.json").read_text())
    assert document["results"][0]["recovered"]["unmove"]["value"] is None


def test_examples_of_pictures_whose_names_look_alike_are_kept_apart(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    truth = json.loads((data / "truth.json").read_text())
    for kind in ("sharp", "blurred"):
        for old, new in (("a", "a/1"), ("b", "a-1")):
            (data / kind / new).parent.mkdir(exist_ok=True)
            (data / kind / f"{old}.png").rename(data / kind / f"{new}.png")
            truth["images"]["ab".index(old)]["file_name"] = f"{new}.jpg"
    (data / "truth.json").write_text(json.dumps(truth))
    (result,) = run(settings, folder, fakes.tools).results
    shown = {example.picture: example.pictures["sharp"] for example in result.examples}
    assert {"a/1", "a-1"} <= set(shown)
    one, other = (read_picture(folder / shown[stem]) for stem in ("a/1", "a-1"))
    assert not np.array_equal(one, other)


def test_examples_of_pairs_whose_names_run_together_are_kept_apart(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    peers = (("z", data / "sharp"), ("y-z", data / "sharp"))
    several = dataclasses.replace(settings, detectors=("x-y", "x"), deblurrers=(), peers=peers)
    files = [example.file for result in run(several, folder, fakes.tools).results for example in result.examples]
    assert len(files) == 2 * 2 * 3
    assert len(set(files)) == len(files)


def test_peers_go_the_same_road_by_stem(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    for stem in STEMS:
        write_picture(data / "peer" / f"{stem}.webp", read_picture(data / "sharp" / f"{stem}.png"), quality=100)
    write_picture(data / "peer" / "stranger.png", np.zeros((5, 5, 3), np.uint8))
    gain = run(dataclasses.replace(settings, deblurrers=(), peers=(("theirs", data / "peer"),)), folder, fakes.tools)
    (result,) = gain.results
    assert result.arms["deblurred:theirs"].ap50 == pytest.approx(1)
    recovered, difference = result.recovered["theirs"].value, result.ap_difference["theirs"].value
    assert recovered == pytest.approx(difference)  # sharp is 1, blurred 0
    assert result.harm["theirs"].value is None
    assert "sharp-through:theirs" not in result.arms
    (record,) = gain.deblurrers
    assert (record.kind, record.ms_per_picture, len(record.sha256)) == ("folder", None, 64)
    assert gain.data["n_without_annotation"][str(data / "peer")] == 1


def test_several_detectors_and_severities(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    blurs = (parse_blur("straight:3,jpeg=0"), parse_blur("none"))
    for name in ("straight-3-jpeg=0", "none"):
        for stem in STEMS:
            write_picture(data / "peer" / name / f"{stem}.png", read_picture(data / "sharp" / f"{stem}.png"))
    changed = dataclasses.replace(
        settings, blurred=None, blurs=blurs, detectors=("one", "two"), peers=(("theirs", data / "peer"),)
    )
    gain = run(changed, folder, fakes.tools)
    assert [(result.detector, result.blur) for result in gain.results] == [
        (detector, str(spec)) for detector in ("one", "two") for spec in blurs
    ]
    assert fakes.restored == 2 * (4 + 2 * 4)  # each deblurrer: sharp once, and each severity
    assert gain.result("two", "none").arms["deblurred:theirs"].ap == pytest.approx(1)
    assert gain.blurs[0].length == 3
    assert gain.blurs[0].sha256 != gain.blurs[1].sha256
    assert (folder / "cache" / "blurred" / "straight-3-jpeg=0" / "a.png").is_file()
    # Pictures of another program are others where one of any blur is.
    write_picture(data / "peer" / "straight-3-jpeg=0" / "a.png", read_picture(data / "sharp" / "b.png"))
    assert run(changed, folder, fakes.tools).deblurrers[-1].sha256 != gain.deblurrers[-1].sha256
    other_seed = folder.parent / "other"
    other_seed.mkdir()
    assert run(dataclasses.replace(changed, seed=1), other_seed, fakes.tools).blurs[0].sha256 != gain.blurs[0].sha256


def test_without_resamples_figures_have_no_interval(settings_of_six: Settings, folder: Path, fakes: Any) -> None:
    (result,) = run(dataclasses.replace(settings_of_six, resamples=0), folder, fakes.tools).results
    assert result.recovered["unmove"].value == pytest.approx(1)
    assert (result.recovered["unmove"].low, result.recovered["unmove"].high) == (None, None)
    assert (result.arms["sharp"].ap_low, result.arms["sharp"].ap_high) == (None, None)


@pytest.mark.usefixtures("blue_object")
def test_gains_and_agreement_are_of_the_chosen_classes_alone(settings: Settings, folder: Path, fakes: Any) -> None:
    # Nothing blue is found anywhere, whatever becomes of red.
    (result,) = run(dataclasses.replace(settings, classes=("blue",)), folder, fakes.tools).results
    assert (result.arms["sharp"].ap, result.ap_difference["unmove"].value, result.harm["unmove"].value) == (0, 0, 0)
    assert result.recovered["unmove"].value is None
    assert result.consistency["blurred"].n_references == 0
    rows = rows_of(folder)
    counts = {(row["n_truths"], row["n_predictions"], row["n_confident"]) for row in rows}
    assert counts == {("1", "0", "0"), ("0", "0", "0")}
    assert {row["f1"] for row in rows if row["picture"] != "a"} == {"1.0"}


def test_examples_begin_with_the_greatest_change(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    for stem in STEMS:
        sharp = read_picture(data / "sharp" / f"{stem}.png")
        write_picture(data / "peer" / f"{stem}.png", sharp)
        if stem != "d":  # of these the blurred picture's box is half right already
            write_picture(data / "blurred" / f"{stem}.png", np.roll(sharp, 4, axis=1))
    changed = dataclasses.replace(settings, deblurrers=(), peers=(("theirs", data / "peer"),))
    (result,) = run(changed, folder, fakes.tools).results
    assert [example.picture for example in result.examples] == ["d", "a", "b"]


def test_an_interval_that_holds_zero_never_looks_as_if_it_did_not() -> None:
    assert with_interval(0.1, -0.004, 0.2, 2) == "0.10 [-0.00, 0.20]"
    assert with_interval(-0.001, -0.2, -0.003, 2) == "0.00 [-0.20, -0.00]"
    assert with_interval(0.0, -0.0, 0.0, 2) == "0.00 [0.00, 0.00]"
