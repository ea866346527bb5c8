"""What a detection-gain run is given: pictures, annotations, detectors and networks, and what networks are told."""

from __future__ import annotations

import dataclasses
import json
import re
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
from deblur.pictures import write_picture
from deblur.working_size import LONGEST_SPREAD
from detection.errors import DetectionError
from detection.types import Detections
from experiments.common.narrator import Narrator
from experiments.gain.deblurrer_rows import detection_scores
from experiments.gain.inputs import check_sizes, listed_pictures, read_truths
from experiments.gain.loading import tools_on
from experiments.gain.measure import measure
from experiments.gain.plan import plan
from experiments.gain.protocol import detection_protocol, rounded
from experiments.gain.run_table import run_table
from pipelines.motions import Motions
from tests.experiments.gain_runs import STEMS, rows_of, run

if TYPE_CHECKING:
    from experiments.gain.settings import LoadedDeblurrer, Settings


def test_a_limit_that_cuts_nothing_is_none(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, limit=9), folder, fakes.tools)
    assert (gain.data["limit"], gain.data["n_pictures"]) == (None, 4)


def test_a_limit_takes_the_first_pictures_and_is_marked(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    (data / "blurred" / "d.png").unlink()  # beyond the limit: not needed
    gain = run(dataclasses.replace(settings, limit=2), folder, fakes.tools)
    assert (gain.data["limit"], gain.data["n_pictures"], gain.data["n_annotated"]) == (2, 2, 4)
    assert {row["picture"] for row in rows_of(folder)} == {"a", "b"}
    assert set(gain.data["n_without_annotation"].values()) == {0}


def test_a_picture_without_file_is_named(settings: Settings, folder: Path, data: Path, fakes: Any) -> None:
    (data / "blurred" / "c.png").unlink()
    with pytest.raises(DeblurError, match=r"1 of 4 annotated pictures have no file in .*blurred, the first is 'c'"):
        run(settings, folder, fakes.tools)


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
    saved = run(settings, folder, fakes.tools)
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


def test_where_annotations_give_no_size_the_first_folder_does(tmp_path: Path) -> None:
    folders = [{"a": tmp_path / f"{width}.png"} for width in (8, 9)]
    for width, files in zip((8, 9), folders, strict=True):
        write_picture(files["a"], np.zeros((6, width, 3), np.uint8))
    with pytest.raises(DeblurError, match=r"9\.png is 9x6 pixels, but a is 8x6"):
        check_sizes(folders, {})


def test_a_list_of_pictures_names_each_once_however_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("val\\b.png\nval/frame.0001\n\n val/c.JPG \nval/b.webp\n", encoding="utf-8-sig")
    assert listed_pictures(tmp_path / "list.txt") == ["val/b", "val/frame.0001", "val/c"]


def test_a_picture_whose_name_is_no_utf8_is_refused(data: Path) -> None:
    file = data / "truth.json"
    file.write_text(file.read_text().replace('"c.jpg"', r'"caf\udce9.jpg"'))
    with pytest.raises(DeblurError, match=r"truth\.json: the name caf\\udce9 is not UTF-8"):
        read_truths(file, {"finder": ("red",)}, None)


def test_nothing_is_written_over_pictures_that_annotations_name_by_whole_paths(
    settings: Settings, folder: Path, data: Path, fakes: Any
) -> None:
    content = json.loads((data / "truth.json").read_text())
    for image, stem in zip(content["images"], STEMS, strict=True):
        image["file_name"] = str(data / "sharp" / f"{stem}.png")
    (data / "truth.json").write_text(json.dumps(content))
    before = {file: file.read_bytes() for file in data.rglob("*") if file.is_file()}
    blurs = (parse_blur("straight:200"), parse_blur("straight:30"))
    run(dataclasses.replace(settings, blurred=None, blurs=blurs), folder, fakes.tools)
    assert {file: file.read_bytes() for file in data.rglob("*") if file.is_file()} == before


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
        run(dataclasses.replace(settings, **changes), folder, fakes.tools)
    assert "\n" not in str(caught.value)
    assert not (folder / "metrics.json").exists()


@pytest.mark.usefixtures("blue_object")
def test_classes_restrict_truth_and_boxes(settings: Settings, folder: Path, fakes: Any) -> None:
    gain = run(dataclasses.replace(settings, classes=("blue",)), folder, fakes.tools)
    arm = gain.results[0].arms["sharp"]
    assert (arm.ap, arm.n_truths, arm.n_predictions, list(arm.per_class)) == (0, 1, 0, ["blue"])
    assert gain.data["classes"] == ["blue"]


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


def test_a_network_is_told_what_a_sensor_felt_of_synthetic_blur(settings: Settings, folder: Path, fakes: Any) -> None:
    spec = parse_blur("straight:12")
    gain = run(
        dataclasses.replace(settings, blurred=None, blurs=(spec,), deblurrers=("unmove+gyro", "idle")),
        folder,
        fakes.tools,
    )
    assert set(gain.results[0].recovered) == {"unmove+gyro", "idle"}
    # Each picture as it is, which no camera moved for, and blurred by a motion of its own.
    lengths = sorted(float(np.hypot(*np.ptp(path.path[:, :2], axis=0))) for path in fakes.paths)
    assert lengths[:4] == [0] * 4
    expected = 12 * 64 / REFERENCE_SIDE
    assert lengths[4:] == pytest.approx([expected] * 4, rel=0.2)
    assert len(set(lengths[4:])) == 4
    assert max(abs(length - expected) for length in lengths[4:]) > 0.001


def test_what_a_network_is_told_is_of_the_very_blur_of_the_picture(
    settings: Settings, folder: Path, fakes: Any
) -> None:
    blurs = tuple(parse_blur(text) for text in ("shake:12,readout=1", "shake:30"))
    changed = dataclasses.replace(settings, blurred=None, blurs=blurs, deblurrers=("unmove+gyro",), seed=5)
    run(changed, folder, fakes.tools)
    expected = [felt_path(spec, 5, stem, 64, 48) for spec in blurs for stem in STEMS]
    told = [path for path in fakes.paths if path.path.any()]
    assert len(told) == len(expected)
    for path, true in zip(told, expected, strict=True):
        np.testing.assert_array_equal(path.path, true.path)
        assert (path.center, path.shutter) == (true.center, true.shutter)


def test_nobody_knows_the_path_of_real_blur(settings: Settings, folder: Path, fakes: Any) -> None:
    told = dataclasses.replace(settings, deblurrers=("unmove+gyro",))
    with pytest.raises(DeblurError, match=r"unmove\+gyro: the camera's path is known only of blur that --blur makes"):
        run(told, folder, fakes.tools)


def test_a_network_is_told_recorded_paths_of_real_blur(
    settings: Settings, tmp_path: Path, folder: Path, fakes: Any
) -> None:
    for number, stem in enumerate(STEMS):
        (tmp_path / f"{stem}.csv").write_text(f"t,x,y\n0,0,0\n1,{3 + number},0\n")
    motions = Motions(tmp_path, None, None)
    told = dataclasses.replace(settings, deblurrers=("unmove+gyro", "idle"), motions=motions, fuse=True)
    gain = run(told, folder, fakes.tools)
    # Each sharp picture as it is, which no camera moved for, and each blurred one along its own record.
    lengths = sorted(float(np.ptp(path.path[:, 0])) for path in fakes.paths)
    assert lengths == pytest.approx([0] * 4 + [3, 4, 5, 6], abs=0.1)
    recorded, idle, *fused = gain.deblurrers
    assert (idle.paths, len(recorded.paths or "")) == (None, 64)
    # Of other records nothing is taken out of the cache, and what is fused of them is called otherwise.
    (tmp_path / "a.csv").write_text("t,x,y\n0,0,0\n1,9,0\n")
    fakes.paths.clear()
    again = run(told, folder, fakes.tools)
    assert max(float(np.ptp(path.path[:, 0])) for path in fakes.paths) == pytest.approx(9, abs=0.2)
    assert again.deblurrers[0].identity != recorded.identity
    assert [one.sha256 == other.sha256 for one, other in zip(again.deblurrers[2:], fused, strict=True)] == [
        False,
        True,
        True,
    ]
    with pytest.raises(DeblurError, match=r"--motion has no effect: .*, --deblurrer NAME\+gyro"):
        run(dataclasses.replace(told, deblurrers=("idle",)), folder, fakes.tools)


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
