"""The body of the detection-gain experiment, on the small experiment of conftest.py."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
import shutil
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deblur import Deblurrer
from deblur.blur import parse_blur
from deblur.blur.spec import REFERENCE_SIDE
from deblur.errors import DeblurError
from deblur.exposure.kernels import SHARP
from deblur.exposure.paths import felt_path
from deblur.networks import named_config
from deblur.networks.cost import cost_of
from deblur.outcome import Outcome
from deblur.picture_folders import list_pictures
from deblur.pictures import read_picture, write_picture
from deblur.working_size import LONGEST_SPREAD
from detection.bootstrap import Interval
from detection.errors import DetectionError
from detection.fusion import Looks
from detection.scoring import score
from detection.truth import read_truth
from detection.types import Detections
from experiments.common.cache import Cache
from experiments.common.file_names import file_name_of
from experiments.common.narrator import Narrator
from experiments.common.printed_table import with_interval
from experiments.gain import measure as measuring
from experiments.gain.arms import build_arms
from experiments.gain.deblurrer_rows import detection_scores
from experiments.gain.files import read_curves, read_metrics, read_predictions
from experiments.gain.fused import FusedSet, fused_boxes, fused_records
from experiments.gain.inputs import check_sizes, read_truths
from experiments.gain.loading import tools_on
from experiments.gain.measure import measure
from experiments.gain.plan import plan
from experiments.gain.protocol import detection_protocol, rounded
from experiments.gain.records import DeblurrerRecord
from experiments.gain.run_table import run_table
from pipelines.motions import Motions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from experiments.gain.picture_sets import PictureSet
    from experiments.gain.records import GainRun
    from experiments.gain.settings import LoadedDeblurrer, Settings

STEMS = ("a", "b", "c", "d")


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "per_image.csv").open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def run(settings: Settings, folder: Path, fakes: Any) -> GainRun:
    gain = measure(plan(settings, fakes.tools), folder, Narrator(silent=True))
    assert gain is not None
    return gain


def test_every_arm_has_the_figures_worked_out_by_hand(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(settings, folder, fakes)
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
    (result,) = run(dataclasses.replace(settings_of_six, fuse=True), folder, fakes).results
    for interval in (result.recovered["unmove"], result.ap_difference["unmove"], result.harm["unmove"]):
        assert interval.low == interval.high == interval.value == pytest.approx(1)
    assert (result.arms["sharp"].ap_low, result.arms["sharp"].ap_high) == pytest.approx((1, 1))
    assert result.beyond_control["unmove+mirrored"].low > 0
    assert (result.beyond_control["idle+mirrored"].low, result.beyond_control["idle+mirrored"].high) == (0, 0)


def test_restoration_is_scored_against_sharp_and_exact_matches_are_counted_apart(
    settings: Settings, folder: Path, fakes: Any
) -> None:
    arms = run(dataclasses.replace(settings, deblurrers=("idle",)), folder, fakes).results[0].arms
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
    run(dataclasses.replace(settings, deblurrers=(), peers=(("theirs", data / "black"),)), folder, fakes)
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
        fakes,
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
    results = run(changed, folder, fakes).results
    assert [result.arms["blurred"].n_psnr for result in results] == [0, 4]


def test_the_table_says_how_many_pictures_have_no_psnr(settings: Settings, folder: Path, fakes: Any) -> None:
    arms = run_table(run(settings, folder, fakes)).partition("recovered fraction")[0]
    rows = {line.split()[0]: line.split() for line in arms.splitlines() if line}
    assert rows["arm"][-3:] == ["PSNR", "SSIM", "exact"]
    assert rows["sharp-through:idle"][-3:] == ["-", "1.0000", "4"]
    assert rows["blurred"][-1] == "0"
    assert rows["sharp"][-3:] == ["-", "-", "-"]
    assert rows["blurred"][-3] == "-"  # every picture of it is exact in another arm


def test_the_table_has_every_figure_in_its_own_column(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, deblurrers=("unmove",)), folder, fakes)
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
    gain = run(settings, folder, fakes)
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
    run(dataclasses.replace(settings, detectors=("one", "two", "narrow")), folder, fakes)
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
        run(dataclasses.replace(settings, detectors=("one", "two")), folder, fakes)
    assert {path.name for path in folder.iterdir()} == {"cache", "pictures"}


def test_examples_show_where_restoring_helped_and_hurt(settings: Settings, folder: Path, fakes: Any) -> None:
    (result,) = run(settings, folder, fakes).results
    assert [(example.effect, example.deblurrer, example.rank, example.picture) for example in result.examples] == [
        ("helped", "unmove", rank, stem) for rank, stem in ((1, "a"), (2, "b"), (3, "c"))
    ]
    example = result.examples[0]
    assert (example.blurred_f1, example.deblurred_f1) == (0, 1)
    drawn = read_picture(folder / example.file)
    assert drawn.shape[1] > 3 * 64  # sharp, blurred and restored beside each other
    assert set(example.pictures) == set(result.arms)
    assert all(read_picture(folder / file).shape == (48, 64, 3) for file in example.pictures.values())


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
    gain = run(settings, folder, fakes)
    assert gain.data["reports"]["finder"]["classes_not_annotated"] == ["blue"]
    sharp = [row for row in rows_of(folder) if row["arm"] == "sharp"]
    assert {(row["f1"], row["n_predictions"], row["n_confident"]) for row in sharp} == {("1.0", "1", "1")}
    other = tmp_path / "chosen"
    other.mkdir()
    run(dataclasses.replace(settings, classes=("blue", "red")), other, more_fakes)
    sharp = [row for row in rows_of(other) if row["arm"] == "sharp"]
    assert {(round(float(row["f1"]), 3), row["n_confident"]) for row in sharp} == {(0.667, "2")}


def test_a_deblurrer_that_hurts_has_hurt_examples(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    swapped = dataclasses.replace(settings, sharp=data / "sharp", blurred=data / "sharp", deblurrers=("unmove",))
    (result,) = run(swapped, folder, fakes).results
    assert {example.effect for example in result.examples} == {"hurt"}
    assert result.recovered["unmove"].value is None  # sharp is no better than "blurred" here
    assert result.ap_difference["unmove"].value == pytest.approx(-1)


def test_real_blur_has_no_sharp_arm_and_no_recovered_fraction(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, sharp=None), folder, fakes)
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
    (result,) = run(settings, folder, fakes).results
    shown = {example.picture: example.pictures["sharp"] for example in result.examples}
    assert {"a/1", "a-1"} <= set(shown)
    one, other = (read_picture(folder / shown[stem]) for stem in ("a/1", "a-1"))
    assert not np.array_equal(one, other)


def test_examples_of_pairs_whose_names_run_together_are_kept_apart(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    peers = (("z", data / "sharp"), ("y-z", data / "sharp"))
    several = dataclasses.replace(settings, detectors=("x-y", "x"), deblurrers=(), peers=peers)
    files = [example.file for result in run(several, folder, fakes).results for example in result.examples]
    assert len(files) == 2 * 2 * 3
    assert len(set(files)) == len(files)


def test_peers_go_the_same_road_by_stem(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    for stem in STEMS:
        write_picture(data / "peer" / f"{stem}.webp", read_picture(data / "sharp" / f"{stem}.png"), quality=100)
    write_picture(data / "peer" / "stranger.png", np.zeros((5, 5, 3), np.uint8))
    gain = run(dataclasses.replace(settings, deblurrers=(), peers=(("theirs", data / "peer"),)), folder, fakes)
    (result,) = gain.results
    assert result.arms["deblurred:theirs"].ap50 == pytest.approx(1)
    recovered, difference = result.recovered["theirs"].value, result.ap_difference["theirs"].value
    assert recovered == pytest.approx(difference)  # sharp is 1, blurred 0
    assert result.harm["theirs"].value is None
    assert "sharp-through:theirs" not in result.arms
    (record,) = gain.deblurrers
    assert (record.kind, record.ms_per_picture, len(record.sha256)) == ("folder", None, 64)
    assert gain.data["n_without_annotation"][str(data / "peer")] == 1


def test_a_network_is_told_what_a_sensor_felt_of_synthetic_blur(settings: Settings, folder: Path, fakes: Any) -> None:
    spec = parse_blur("straight:12")
    gain = run(
        dataclasses.replace(settings, blurred=None, blurs=(spec,), deblurrers=("unmove+gyro", "idle")), folder, fakes
    )
    assert set(gain.results[0].recovered) == {"unmove+gyro", "idle"}
    # Each picture as it is, which no camera moved for, and blurred by a motion of its own.
    lengths = sorted(float(np.hypot(*np.ptp(path.path[:, :2], axis=0))) for path in fakes.paths)
    assert lengths[:4] == [0] * 4
    expected = 12 * 64 / REFERENCE_SIDE
    assert lengths[4:] == pytest.approx([expected] * 4, rel=0.2)
    assert len(set(lengths[4:])) == 4
    assert max(abs(length - expected) for length in lengths[4:]) > 0.001


def test_nobody_knows_the_path_of_real_blur(settings: Settings, folder: Path, fakes: Any) -> None:
    told = dataclasses.replace(settings, deblurrers=("unmove+gyro",))
    with pytest.raises(DeblurError, match=r"unmove\+gyro: the camera's path is known only of blur that --blur makes"):
        run(told, folder, fakes)


def test_a_network_is_told_recorded_paths_of_real_blur(
    settings: Settings, tmp_path: Path, folder: Path, fakes: Any
) -> None:
    for number, stem in enumerate(STEMS):
        (tmp_path / f"{stem}.csv").write_text(f"t,x,y\n0,0,0\n1,{3 + number},0\n")
    motions = Motions(tmp_path, None, None)
    told = dataclasses.replace(settings, deblurrers=("unmove+gyro", "idle"), motions=motions, fuse=True)
    gain = run(told, folder, fakes)
    # Each sharp picture as it is, which no camera moved for, and each blurred one along its own record.
    lengths = sorted(float(np.ptp(path.path[:, 0])) for path in fakes.paths)
    assert lengths == pytest.approx([0] * 4 + [3, 4, 5, 6], abs=0.1)
    recorded, idle, *fused = gain.deblurrers
    assert (idle.paths, len(recorded.paths or "")) == (None, 64)
    # Of other records nothing is taken out of the cache, and what is fused of them is called otherwise.
    (tmp_path / "a.csv").write_text("t,x,y\n0,0,0\n1,9,0\n")
    fakes.paths.clear()
    again = run(told, folder, fakes)
    assert max(float(np.ptp(path.path[:, 0])) for path in fakes.paths) == pytest.approx(9, abs=0.2)
    assert again.deblurrers[0].identity != recorded.identity
    assert [one.sha256 == other.sha256 for one, other in zip(again.deblurrers[2:], fused, strict=True)] == [
        False,
        True,
        True,
    ]
    with pytest.raises(DeblurError, match=r"--motion has no effect: .*, --deblurrer NAME\+gyro"):
        run(dataclasses.replace(told, deblurrers=("idle",)), folder, fakes)


def test_a_network_is_told_paths_by_its_name() -> None:
    tools = tools_on("cpu", 640)
    told = tools.load_deblurrer("mine=mstsgm-guided+gyro")
    plain = tools.load_deblurrer("mstsgm-guided")
    assert (told.name, told.told, plain.told) == ("mine+gyro", True, False)
    assert told.sha256 == plain.sha256
    assert told.settings != plain.settings  # else one would take the other's pictures out of the cache
    with pytest.raises(DeblurError, match=r"mstsgm-nano\+gyro: mstsgm-nano has no guide"):
        tools.load_deblurrer("mstsgm-nano+gyro")


@pytest.mark.parametrize("suffix", ["+gyro", "+search"])
def test_restored_pictures_depend_on_where_paths_are_believed(suffix: str) -> None:
    tools, name = tools_on("cpu", 640), "mstsgm-guided"
    trust = tools.load_deblurrer(name + suffix).settings["trust"]
    assert trust == Deblurrer.load(name).describe()["trust"]
    assert "trust" not in tools.load_deblurrer(name).settings  # it restores along no path


def test_records_say_in_which_way_a_network_restores(settings: Settings, folder: Path, fakes: Any) -> None:
    ways: dict[str, dict[str, Any]] = {
        "unmove": {"consistent": True, "search": {"rounds": 2}, "trust": "of the trust"},
        "unmove2": {"consistent": True, "search": {"rounds": 3}, "trust": "of the trust"},
        "idle": {},
    }

    def load(name: str) -> LoadedDeblurrer:
        return dataclasses.replace(fakes.tools.load_deblurrer(name), settings=ways[name])

    told = dataclasses.replace(settings, deblurrers=tuple(ways))
    gain = measure(plan(told, dataclasses.replace(fakes.tools, load_deblurrer=load)), folder, Narrator(silent=True))
    assert gain is not None
    one, other, plain = gain.deblurrers
    assert (one.consistent, one.trust, len(one.search or ""), one.paths) == (True, "of the trust", 64, None)
    assert (other.consistent, other.trust) == (True, "of the trust")
    assert other.search not in {None, one.search}
    assert plain.identity == (plain.sha256, None, None, None, None)


def test_boxes_of_two_looks_are_fused(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, fuse=True), folder, fakes)
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
    run(told, folder, fakes)
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
    gain = run(dataclasses.replace(settings, sharp=None, fuse=True, deblurrers=("unmove",)), folder, fakes)
    assert list(gain.results[0].arms) == [
        "blurred",
        "deblurred:unmove",
        "deblurred:unmove+mirrored",
        "deblurred:mirrored+blurred",
    ]
    assert gain.results[0].harm["unmove+mirrored"].value is None
    assert gain.results[0].harm_looking_twice["unmove+mirrored"].value is None


def test_several_detectors_and_severities(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    blurs = (parse_blur("straight:3,jpeg=0"), parse_blur("none"))
    for name in ("straight-3-jpeg=0", "none"):
        for stem in STEMS:
            write_picture(data / "peer" / name / f"{stem}.png", read_picture(data / "sharp" / f"{stem}.png"))
    changed = dataclasses.replace(
        settings, blurred=None, blurs=blurs, detectors=("one", "two"), peers=(("theirs", data / "peer"),)
    )
    gain = run(changed, folder, fakes)
    assert [(result.detector, result.blur) for result in gain.results] == [
        (detector, str(spec)) for detector in ("one", "two") for spec in blurs
    ]
    assert fakes.restored == 2 * (4 + 2 * 4)  # each deblurrer: sharp once, and each severity
    assert gain.result("two", "none").arms["deblurred:theirs"].ap == pytest.approx(1)
    assert gain.blurs[0].length == 3
    assert gain.blurs[0].sha256 != gain.blurs[1].sha256
    assert (folder / "cache" / "blurred" / "straight-3-jpeg=0" / "a.png").is_file()
    other_seed = folder.parent / "other"
    other_seed.mkdir()
    assert run(dataclasses.replace(changed, seed=1), other_seed, fakes).blurs[0].sha256 != gain.blurs[0].sha256


def test_a_limit_that_cuts_nothing_is_none(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, limit=9), folder, fakes)
    assert (gain.data["limit"], gain.data["n_pictures"]) == (None, 4)


def test_a_limit_takes_the_first_pictures_and_is_marked(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    (data / "blurred" / "d.png").unlink()  # beyond the limit: not needed
    gain = run(dataclasses.replace(settings, limit=2), folder, fakes)
    assert (gain.data["limit"], gain.data["n_pictures"], gain.data["n_annotated"]) == (2, 2, 4)
    assert {row["picture"] for row in rows_of(folder)} == {"a", "b"}
    assert set(gain.data["n_without_annotation"].values()) == {0}


@pytest.mark.usefixtures("blue_object")
def test_classes_restrict_truth_and_boxes(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, classes=("blue",)), folder, fakes)
    arm = gain.results[0].arms["sharp"]
    assert (arm.ap, arm.n_truths, arm.n_predictions, list(arm.per_class)) == (0, 1, 0, ["blue"])
    assert gain.data["classes"] == ["blue"]


def test_without_resamples_figures_have_no_interval(settings_of_six: Settings, folder: Path, fakes: Any) -> None:
    (result,) = run(dataclasses.replace(settings_of_six, resamples=0), folder, fakes).results
    assert result.recovered["unmove"].value == pytest.approx(1)
    assert (result.recovered["unmove"].low, result.recovered["unmove"].high) == (None, None)
    assert (result.arms["sharp"].ap_low, result.arms["sharp"].ap_high) == (None, None)


def test_a_picture_without_file_is_named(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    (data / "blurred" / "c.png").unlink()
    with pytest.raises(DeblurError, match=r"1 of 4 annotated pictures have no file in .*blurred, the first is 'c'"):
        run(settings, folder, fakes)


def test_blurred_pictures_are_not_blurred_again(settings: Settings, data: Path, fakes: Any) -> None:
    (data / "blurred").rename(data / "blur")
    content = json.loads(settings.annotations.read_text())
    shake = dataclasses.replace(settings, sharp=data, blurred=None, blurs=(parse_blur("shake:8"),))
    for folder, refused in (("blur", True), ("sharp", False)):
        named = [image | {"file_name": f"{folder}/{Path(image['file_name']).name}"} for image in content["images"]]
        settings.annotations.write_text(json.dumps(content | {"images": named}))
        if refused:
            with pytest.raises(DeblurError, match=r"holds blur/ beside sharp/.* give --sharp .*/data/sharp, or"):
                plan(shake, fakes.tools)
        else:
            assert plan(shake, fakes.tools).truths.stems[0] == "sharp/a"


def test_which_blur_a_folder_has_is_said_by_its_manifest_or_the_user(
    settings: Settings, data: Path, folder: Path, fakes: Any
) -> None:
    (data / "manifest.json").write_text(json.dumps({"data_set": "gopro", "blur": "gamma"}))
    saved = run(settings, folder, fakes)
    assert (saved.data["data_set"], saved.data["blur"]) == ("gopro", "gamma")
    assert run_table(saved).startswith("4 pictures, gopro, blur gamma\n")
    (row, *_) = detection_scores(folder, saved, "unmove")
    assert (row["blur"], row["data_set"], row["data_blur"]) == ("blurred", "gopro", "gamma")
    named = plan(dataclasses.replace(settings, data_blur="linear"), fakes.tools)
    assert named.prepared == ("gopro", "linear")
    (data / "manifest.json").write_text("[]")
    with pytest.raises(DeblurError, match="is not a manifest"):
        plan(settings, fakes.tools)
    (data / "manifest.json").unlink()
    assert plan(settings, fakes.tools).prepared == (None, None)


def test_pictures_of_another_size_are_refused(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    planned = plan(settings, fakes.tools)
    write_picture(data / "blurred" / "c.png", np.zeros((24, 32, 3), np.uint8))
    for refuse in (lambda: plan(settings, fakes.tools), lambda: measure(planned, folder, Narrator(silent=True))):
        with pytest.raises(DeblurError, match=r"c\.png is 32x24 pixels, but c is 64x48"):
            refuse()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"deblurrers": ("idle", "idle")}, "two deblurrers are called 'idle'"),
        ({"detectors": ("one", "one")}, "two detectors are called 'one': .* call one otherwise, by NAME=FILE"),
        *(
            ({"fuse": fuse, "peers": ((name, Path("x")),)}, f"no deblurrer may be called {re.escape(repr(name))}, as")
            for fuse in (False, True)
            for name in ("idle+mirrored", "mirrored+blurred")
        ),
        (
            {"fuse": True, "peers": (("idle-mirrored", Path("x")),)},
            r"the deblurrers 'idle-mirrored' and 'idle\+mirrored' would share the files of idle-mirrored",
        ),
        (
            {"deblurrers": ("unmove+gyro",), "peers": (("unmove-gyro", Path("x")),)},
            r"the deblurrers 'unmove\+gyro' and 'unmove-gyro' would share the files of unmove-gyro",
        ),
        ({"detectors": ("my one", "my-one")}, "the detectors 'my one' and 'my-one' would share the files of my-one"),
        (
            {"blurred": None, "blurs": tuple(parse_blur(f"measured:9,kernels={name}.npz") for name in ("a/b", "a-b"))},
            r"the blurs .* would share the files of measured-9-kernels=a-b\.npz",
        ),
        ({"blurred": None, "blurs": (parse_blur("measured:9,kernels=nowhere.npz"),)}, "nowhere.npz"),
        ({"blurred": Path("caf\udce9")}, r"^caf\\udce9 among the blurs is not UTF-8, .*: rename the folder$"),
        (
            {"blurred": None, "blurs": (parse_blur("measured:9,kernels=caf\udce9.npz"),)},
            r"kernels=caf\\udce9\.npz among the blurs is not UTF-8, .*: rename one file of kernels$",
        ),
        ({"detectors": ("caf\udce9",)}, r"^caf\\udce9 among the detectors is not UTF-8, .*: call one otherwise"),
        ({"peers": (("caf\udce9", Path("x")),)}, r"^caf\\udce9 among the deblurrers is not UTF-8, .*: call one other"),
        ({"deblurrers": ("magic",)}, "no deblurrer 'magic'"),
        ({"sharp": Path("nowhere")}, "nowhere does not exist"),
        ({"annotations": Path("nowhere.json")}, "no annotations at nowhere.json"),
        ({"classes": ("dragon",)}, "dragon"),
        (
            {"classes": ("blue",)},
            r"truth\.json has no object of blue to score finder on in the 4 pictures .*: there are objects of red$",
        ),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    settings: Settings, folder: Path, changes: dict[str, object], message: str, fakes: Any
) -> None:
    with pytest.raises((DeblurError, DetectionError), match=message) as caught:
        run(dataclasses.replace(settings, **changes), folder, fakes)
    assert "\n" not in str(caught.value)
    assert not (folder / "metrics.json").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"annotations": []}, "they are without objects"),
        ({"categories": [{"id": 7, "name": "kart"}]}, "the annotations have classes that it does not know: kart"),
        ({"iscrowd": 1}, "there are only crowd regions and difficult ones, which do not count"),
    ],
)
def test_annotations_without_an_object_that_counts_are_refused_before_any_work(
    settings: Settings, data: Path, change: dict[str, Any], why: str, fakes: Any
) -> None:
    content = json.loads((data / "truth.json").read_text())
    for annotation in content["annotations"]:
        annotation["iscrowd"] = change.get("iscrowd", 0)
    (data / "truth.json").write_text(json.dumps(content | change))
    with pytest.raises(DeblurError, match=rf"no object to score finder on in the 4 pictures measured: {why}$"):
        plan(settings, fakes.tools)


@pytest.mark.usefixtures("blue_object")
def test_an_object_beyond_the_limit_or_unknown_to_one_detector_does_not_count(settings: Settings, fakes: Any) -> None:
    content = json.loads(settings.annotations.read_text())
    content["annotations"] = content["annotations"][3:]  # a red object on d, and a blue one on a
    settings.annotations.write_text(json.dumps(content))
    both = dataclasses.replace(settings, detectors=("finder", "narrow"))
    plan(both, fakes.tools)
    with pytest.raises(DeblurError, match="no object to score narrow on in the 3 pictures measured"):
        plan(dataclasses.replace(both, limit=3), fakes.tools)


def test_the_cost_of_a_network_is_counted_for_a_1280x720_picture() -> None:
    deblurrer = tools_on("cpu", 640).load_deblurrer("mstsgm-nano")
    parameters, macs = cost_of(named_config("mstsgm-nano"), 256, 256)
    assert deblurrer.parameters == parameters
    assert deblurrer.gmacs == pytest.approx(macs / 1e9 * 1280 * 720 / 256**2, rel=0.01), "it is convolutional"
    told = tools_on("cpu", 640).load_deblurrer("mstsgm-guided+gyro")
    assert told.gmacs is None, "it restores once more where a path is doubted"
    assert told.parameters == tools_on("cpu", 640).load_deblurrer("mstsgm-guided").parameters


def test_pictures_are_restored_for_the_detector_as_the_pipeline_restores_them() -> None:
    nano, guided = (tools_on("cpu", 64).load_deblurrer(name) for name in ("mstsgm-nano", "mstsgm-guided+gyro"))
    blurred = np.random.default_rng(0).integers(0, 256, (48, 160, 3)).astype(np.uint8)
    seen, whole = (Deblurrer.load("mstsgm-nano", "cpu", seen_side=side)(blurred) for side in (64, None))
    assert not np.array_equal(seen, whole), "twice what the detector sees is enough"
    np.testing.assert_array_equal(nano.restore(blurred), seen)
    assert nano.settings["seen_side"] == guided.settings["seen_side"] == 64
    assert nano.settings["looks_first"] is None
    assert guided.settings["looks_first"] == {"sharp": SHARP, "longest_spread": LONGEST_SPREAD}


def test_detectors_predict_as_the_protocol_says(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    class Recorder:
        def __init__(self, name: str, **options: Any) -> None:
            asked.update(options, name=name)

        def describe(self) -> dict[str, str]:
            return {"letterbox": "fast", "head": "end to end", "precision": "float32", "device": "cpu"}

    monkeypatch.setattr("detection.yolo.YoloDetector", Recorder)
    loaded = tools_on("cpu", 640).load_detector("yolo26n")
    assert loaded.settings == {"letterbox": "fast", "head": "end to end", "precision": "float32"}
    numbers = {"confidence": 0.001, "max_detections": 300, "image_size": 640}
    assert asked == numbers | {"iou": 0.7, "name": "yolo26n", "device": "cpu"}
    assert detection_protocol(640) == numbers | {"nms_iou": 0.7, "rounding": {"boxes": 0.001, "scores": 0.000001}}


def test_boxes_are_rounded_as_the_protocol_says() -> None:
    boxes, scores = rounded(Detections.ordered([[1.23456, 2, 3.00049, 4]], [0.1234567], ["red"]))
    assert boxes.tolist() == [[1.235, 2, 3, 4]]
    assert scores.tolist() == [0.123457]


def test_where_annotations_give_no_size_the_first_folder_does(tmp_path: Path) -> None:
    folders = [{"a": tmp_path / f"{width}.png"} for width in (8, 9)]
    for width, files in zip((8, 9), folders, strict=True):
        write_picture(files["a"], np.zeros((6, width, 3), np.uint8))
    with pytest.raises(DeblurError, match=r"9\.png is 9x6 pixels, but a is 8x6"):
        check_sizes(folders, {})


def test_truth_is_known_by_what_is_scored_and_not_by_numbers_and_order(data: Path) -> None:
    file = data / "truth.json"
    content = json.loads(file.read_text())
    content["annotations"].append(content["annotations"][0] | {"id": 99, "bbox": [1, 2, 3, 4]})

    def digest(**changes: Any) -> str:
        objects = [content["annotations"][0] | changes, *content["annotations"][1:]]
        file.write_text(json.dumps(content | {"annotations": objects}))
        return read_truths(file, {"finder": ("red",)}, None).sha256

    digests = [digest(), digest(iscrowd=1), digest(difficult=1), digest(area=1), digest(bbox=[2, 2, 9, 9])]
    assert len(set(digests)) == len(digests)
    content["annotations"].reverse()
    assert digest(id=98) == digests[0]


def test_a_picture_whose_name_is_no_utf8_is_refused(data: Path) -> None:
    file = data / "truth.json"
    file.write_text(file.read_text().replace('"c.jpg"', r'"caf\udce9.jpg"'))
    with pytest.raises(DeblurError, match=r"truth\.json: the name caf\\udce9 is not UTF-8"):
        read_truths(file, {"finder": ("red",)}, None)


def test_what_a_network_is_told_is_of_the_very_blur_of_the_picture(
    settings: Settings, folder: Path, fakes: Any
) -> None:
    blurs = tuple(parse_blur(text) for text in ("shake:12,readout=1", "shake:30"))
    changed = dataclasses.replace(settings, blurred=None, blurs=blurs, deblurrers=("unmove+gyro",), seed=5)
    run(changed, folder, fakes)
    expected = [felt_path(spec, 5, stem, 64, 48) for spec in blurs for stem in STEMS]
    told = [path for path in fakes.paths if path.path.any()]
    assert len(told) == len(expected)
    for path, true in zip(told, expected, strict=True):
        np.testing.assert_array_equal(path.path, true.path)
        assert (path.center, path.shutter) == (true.center, true.shutter)


@pytest.mark.usefixtures("blue_object")
def test_gains_and_agreement_are_of_the_chosen_classes_alone(settings: Settings, folder: Path, fakes: Any) -> None:
    # Nothing blue is found anywhere, whatever becomes of red.
    (result,) = run(dataclasses.replace(settings, classes=("blue",)), folder, fakes).results
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
    (result,) = run(changed, folder, fakes).results
    assert [example.picture for example in result.examples] == ["d", "a", "b"]


def test_nothing_is_written_over_pictures_that_annotations_name_by_whole_paths(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    content = json.loads((data / "truth.json").read_text())
    for image, stem in zip(content["images"], STEMS, strict=True):
        image["file_name"] = str(data / "sharp" / f"{stem}.png")
    (data / "truth.json").write_text(json.dumps(content))
    before = {file: file.read_bytes() for file in data.rglob("*") if file.is_file()}
    blurs = (parse_blur("straight:200"), parse_blur("straight:30"))
    run(dataclasses.replace(settings, blurred=None, blurs=blurs), folder, fakes)
    assert {file: file.read_bytes() for file in data.rglob("*") if file.is_file()} == before


def test_an_interval_that_holds_zero_never_looks_as_if_it_did_not() -> None:
    assert with_interval(0.1, -0.004, 0.2, 2) == "0.10 [-0.00, 0.20]"
    assert with_interval(-0.001, -0.2, -0.003, 2) == "0.00 [-0.20, -0.00]"
    assert with_interval(0.0, -0.0, 0.0, 2) == "0.00 [0.00, 0.00]"
