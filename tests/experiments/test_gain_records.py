"""A run's files give back what was written, and say what is wrong with a file that is not one of theirs."""

from __future__ import annotations

import csv
import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from deblur.errors import DeblurError
from detection.bootstrap import Interval
from detection.consistency import Consistency
from detection.scoring import PrecisionRecall
from experiments.gain.files import (
    read_curves,
    read_metrics,
    read_predictions,
    read_restoration,
    write_curves,
    write_metrics,
    write_per_image,
    writing_predictions,
)
from experiments.gain.picture_tables import Boxes, Curve, PictureRow, PictureTruth, Predictions
from experiments.gain.records import (
    ArmScore,
    BlurRecord,
    DeblurrerRecord,
    DetectorRecord,
    Example,
    GainRun,
    Result,
    deblurred_arm,
    is_sharp_arm,
    sharp_through_arm,
)
from tests.experiments.gain_runs import write_predictions

if TYPE_CHECKING:
    from pathlib import Path


def _score(ap: float | None) -> ArmScore:
    per_class = {"person": {"ap": ap, "n_truths": 3}}
    return ArmScore(ap, ap, ap, None, ap, ap, ap, ap, ap, None, ap, ap, None, None, 2, 3, 9, 30.5, 0.9, 0, 2, per_class)


def _run(detectors: list[str], blurs: list[str]) -> GainRun:
    results = [
        Result(
            detector=detector,
            blur=blur,
            arms={"blurred": _score(0.1), deblurred_arm("net"): _score(0.25)},
            recovered={"net": Interval(None, None, None, 0.95, 0, 40)},
            ap_difference={"net": Interval(0.15, 0.1, 0.2, 0.95, 1000, 0)},
            harm={"net": Interval(None, None, None, 0.95, 0, 40)},
            consistency={"blurred": Consistency(0.3, 0.5, 0.25, 2, 4, 9)},
            examples=[Example("hurt", 1, "007", "net", 0.5, 0.25, "pictures/a.jpg", {"blurred": "pictures/b.jpg"})],
            beyond_control={"net+mirrored": Interval(0.05, 0.01, 0.1, 0.95, 1000, 0)},
            recovered_looking_twice={"net+mirrored": Interval(0.3, 0.1, 0.4, 0.95, 1000, 0)},
            harm_looking_twice={"net+mirrored": Interval(0.01, -0.01, 0.02, 0.95, 1000, 0)},
            over={"other": {"net": Interval(0.02, 0.01, 0.03, 0.95, 1000, 0)}},
        )
        for detector in detectors
        for blur in blurs
    ]
    return GainRun(
        protocol={"confidence": 0.001},
        data={"sha256": "00", "limit": None},
        detectors=[DetectorRecord(name, "aa") for name in detectors],
        deblurrers=[DeblurrerRecord("net", "network", "bb", 12.5, 100.0, 9)],
        blurs=[BlurRecord(blur, "shake", 8.0, "cc") for blur in blurs],
        results=results,
    )


def test_metrics_say_everything_once_and_come_back(tmp_path: Path) -> None:
    run = _run(["d", "e"], ["shake:8", "shake:16"])
    write_metrics(tmp_path, run)
    document = json.loads((tmp_path / "metrics.json").read_text())
    parts = ["protocol", "data", "detectors", "deblurrers", "blurs", "results"]
    assert list(document) == ["task", "format", *parts]
    assert document["task"] == "detection_gain"
    assert read_metrics(tmp_path) == run


def test_a_run_that_repeats_its_results_at_the_top_can_be_read(tmp_path: Path) -> None:
    run = _run(["d"], ["shake:8"])
    content = run.to_json()
    content |= {"levels": []} | {name: content["results"][0][name] for name in ("arms", "recovered", "consistency")}
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    assert read_metrics(tmp_path) == run


def test_a_run_from_before_the_control_was_compared_with_can_be_read(tmp_path: Path) -> None:
    content = _run(["d"], ["x", "y"]).to_json()
    first, second = content["results"]
    for added in ("beyond_control", "recovered_looking_twice", "harm_looking_twice", "over"):
        del first[added]
        second[added] = None  # of a run that was scored before, and read and written since
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    for result in read_metrics(tmp_path).results:
        assert (result.beyond_control, result.recovered_looking_twice, result.harm_looking_twice) == ({}, {}, {})
        assert (result.over, result.over_first) == ({}, {})


def test_a_result_is_found_by_detector_and_blur() -> None:
    run = _run(["d", "e"], ["x", "y"])
    assert run.result("e", "x") is run.results[2]
    with pytest.raises(KeyError):
        run.result("e", "z")


def test_rows_keep_every_digit_and_leave_missing_values_empty(tmp_path: Path) -> None:
    rows = [
        PictureRow('a "quoted", name', "d", "shake:8", "blurred", 3, 40, 2, 0.1234567890123, 30.0, 0.9),
        PictureRow("b", "d", "", "sharp", 0, 0, 0, 1.0, None, None),
    ]
    write_per_image(tmp_path, rows)
    with (tmp_path / "per_image.csv").open(newline="", encoding="utf-8") as stream:
        first, second = csv.DictReader(stream)
    assert (first["picture"], float(first["f1"]), float(first["psnr"])) == ('a "quoted", name', 0.1234567890123, 30.0)
    assert (second["blur"], second["n_truths"], second["psnr"], second["ssim"]) == ("", "0", "", "")
    assert read_restoration(tmp_path) == {
        ("shake:8", "blurred", 'a "quoted", name'): {"psnr": 30.0, "ssim": 0.9},
        ("", "sharp", "b"): {"psnr": None, "ssim": None},
    }
    (tmp_path / "per_image.csv").write_text("blur,arm\nx,y\n")
    with pytest.raises(DeblurError, match=r"per_image\.csv is not as this program writes it: KeyError 'picture'"):
        read_restoration(tmp_path)


def test_predictions_and_curves_come_back(tmp_path: Path) -> None:
    truth = PictureTruth("a", "a.jpg", 64, 48, Boxes([[1.0, 2.0, 3.0, 4.0]], [1]), [False])
    predicted = {
        ("d", "", "sharp", "a"): Boxes([[1.0, 2.0, 3.5, 4.0]], [0], [0.75]),
        ("d", "shake:8", "blurred", "a"): Boxes([], [], []),
    }
    predictions = Predictions(["cat", "person"], [truth], predicted)
    write_predictions(tmp_path, predictions)
    assert read_predictions(tmp_path) == predictions
    assert predictions.boxes("d", "shake:8", "sharp", "a").scores == [0.75]
    assert predictions.boxes("d", "shake:8", "blurred", "a").scores == []
    curves = [
        Curve("d", "", "sharp", PrecisionRecall((0.0, 1.0), (1.0, 0.5), (1.0, 1.0))),
        Curve("d", "b", "blurred", PrecisionRecall((0.0, 1.0), None, None)),
    ]
    write_curves(tmp_path, curves)
    assert read_curves(tmp_path) == curves
    path = tmp_path / "curves.json"
    assert path.read_text() == (
        '{"curves": [\n'
        '{"detector":"d","blur":"","arm":"sharp","recall":[0.0,1.0],"precision":[1.0,0.5],"precision50":[1.0,1.0]},\n'
        '{"detector":"d","blur":"b","arm":"blurred","recall":[0.0,1.0],"precision":null,"precision50":null}\n'
        "]}\n"
    )
    path.write_text(path.read_text().replace("}", ',"precision75":[1.0,0.0]}', 1))  # as earlier runs have it
    assert read_curves(tmp_path) == curves


def test_predictions_have_one_picture_of_one_arm_a_line(tmp_path: Path) -> None:
    truths = [PictureTruth(stem, f"{stem}.jpg", 64, 48, Boxes([[1.0, 2.0, 3.0, 4.0]], [1]), [True]) for stem in "aü"]
    with writing_predictions(tmp_path, ["cat", "Zürich"], truths) as add:
        add(("d", "", "sharp", "a"), Boxes([[1.0, 2.0, 3.5, 4.25], [0.0, 0.0, 1.0, 1.0]], [0, 1], [0.75, 1e-06]))
        assert not (tmp_path / "predictions.json").exists()
        add(("d", "shake:8", "blurred", "ü"), Boxes([], [], []))
    assert (tmp_path / "predictions.json").read_text(encoding="utf-8") == (
        '{"class_names": ["cat","Zürich"],\n'
        '"truths": [\n'
        '{"picture":"a","file_name":"a.jpg","width":64,"height":48,'
        '"truth":{"boxes":[[1.0,2.0,3.0,4.0]],"classes":[1],"scores":[]},"ignored":[true]},\n'
        '{"picture":"ü","file_name":"ü.jpg","width":64,"height":48,'
        '"truth":{"boxes":[[1.0,2.0,3.0,4.0]],"classes":[1],"scores":[]},"ignored":[true]}\n'
        "],\n"
        '"predictions": [\n'
        '{"detector":"d","blur":"","arm":"sharp","picture":"a",'
        '"boxes":[[1.0,2.0,3.5,4.25],[0.0,0.0,1.0,1.0]],"classes":[0,1],"scores":[0.75,1e-06]},\n'
        '{"detector":"d","blur":"shake:8","arm":"blurred","picture":"ü","boxes":[],"classes":[],"scores":[]}\n'
        "]}\n"
    )


def test_lists_without_entries_are_written(tmp_path: Path) -> None:
    write_predictions(tmp_path, Predictions([], [], {}))
    content = (tmp_path / "predictions.json").read_bytes()
    assert content == b'{"class_names": [],\n"truths": [\n\n],\n"predictions": [\n\n]}\n'
    write_curves(tmp_path, [])
    assert (tmp_path / "curves.json").read_bytes() == b'{"curves": [\n\n]}\n'


def test_predictions_take_no_more_memory_the_more_there_are(tmp_path: Path) -> None:
    boxes = Boxes([[100.123, 200.456, 300.789, 400.012]] * 300, [1] * 300, [0.123456] * 300)

    def peak(n_pictures: int) -> int:
        tracemalloc.start()
        with writing_predictions(tmp_path, ["cat"], []) as add:
            for number in range(n_pictures):
                add(("d", "", "sharp", f"{number}"), boxes)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    assert peak(40) < 1.2 * peak(4)


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_curves(tmp_path, [Curve("d", "", "sharp", PrecisionRecall((0.0,), (float("nan"),), None))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "is not JSON"),
        ("[]", "holds no JSON object"),
        ('{"task": "training"}', "not of a detection-gain run"),
        ('{"task": "detection_gain", "format": 99}', "has format 99"),
        ('{"task": "detection_gain", "format": 1}', "not as this program writes it: KeyError 'protocol'"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(DeblurError, match=message) as caught:
        read_metrics(tmp_path)
    assert str(tmp_path / "metrics.json") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arm_names() -> None:
    assert is_sharp_arm("sharp")
    assert is_sharp_arm(sharp_through_arm("net"))
    assert not is_sharp_arm(deblurred_arm("sharp"))
    assert not is_sharp_arm("blurred")
