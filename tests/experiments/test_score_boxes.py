"""The command ``python -m experiments.score_boxes``: boxes from files are scored as a detector's own are."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from deblur.runs import write_yaml
from deblur.yaml_text import read_yaml
from experiments import compare, plots, report, rescore, score_boxes
from experiments.common.narrator import Narrator
from experiments.gain.files import read_metrics, read_predictions
from experiments.gain.measure import measure
from experiments.gain.plan import plan
from experiments.gain.run_table import run_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from experiments.gain.records import GainRun
    from experiments.gain.settings import Settings

NAMES = {
    "sharp": "sharp",
    "blurred": "blurred",
    "unmove": "deblurred:unmove",
    "idle": "deblurred:idle",
    "through": "sharp-through:unmove",
}


class Command:
    """The command line over the files of one folder."""

    def __init__(self, folder: Path, annotations: Path, called: Callable[..., Any]) -> None:
        self.folder = folder
        self.annotations = annotations
        self._called = called

    def file(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def boxes(self, *names: str) -> list[str]:
        return ["--boxes", *(f"{name}={self.file(name)}" for name in names)]

    @property
    def base(self) -> list[str]:
        return ["--annotations", str(self.annotations), "--bootstrap", "40"]

    @property
    def whole(self) -> list[str]:
        arguments = [*self.base, *self.boxes("sharp", "blurred", "unmove", "idle"), "--detector-name", "finder"]
        return [*arguments, "--sharp-through", f"unmove={self.file('through')}"]

    def change(self, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
        """Change every entry of a file."""
        entries = json.loads(self.file(name).read_text())
        self.file(name).write_text(json.dumps([entry | change(entry) for entry in entries]))

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        return self._called(score_boxes.main, arguments)

    def refused(self, *arguments: str) -> str:
        """The one line of a run that bad input stops, which leaves no folder."""
        code, out, err = self(*arguments)
        assert (code, out, len(err.splitlines())) == (1, "", 1), err
        assert not Path("runs").exists()
        return err

    def misused(self, *arguments: str) -> str:
        """The last line of a wrong usage."""
        code, out, err = self(*arguments)
        assert (code, out) == (2, ""), err
        return err.splitlines()[-1]


@pytest.fixture
def measured(settings_of_six: Settings, folder: Path, fakes: Any) -> GainRun:
    """What detection_gain measures on the same pictures."""
    gain = measure(plan(settings_of_six, fakes.tools), folder, Narrator(silent=True))
    assert gain is not None
    return gain


@pytest.fixture
def command(
    measured: GainRun,
    settings_of_six: Settings,
    folder: Path,
    tmp_path: Path,
    called: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    """The boxes that detection_gain found, in files as other programs write them."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    saved = read_predictions(folder)
    number = {stem: index for index, stem in enumerate("abcdef")}
    for name, arm in NAMES.items():
        entries = [
            {"image_id": number[stem], "category_id": 7, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score}
            for (_, _, of, stem), boxes in saved.predicted.items()
            if of == arm
            for (x1, y1, x2, y2), score in zip(boxes.boxes, boxes.scores, strict=True)
        ]
        (here / f"{name}.json").write_text(json.dumps(entries))
    return Command(here, settings_of_six.annotations, called)


def test_figures_are_those_of_detection_gain(command: Command, measured: GainRun, folder: Path) -> None:
    code, out, err = command(*command.whole, "--output", "run")
    assert code == 0, err
    (result,), (expected,) = read_metrics("run").results, measured.results
    not_there = {"psnr": None, "ssim": None, "n_exact": None, "n_psnr": None}
    for arm, score in result.arms.items():
        # The detector of detection_gain knows a class more than the annotations.
        of_red = {"per_class": {"red": expected.arms[arm].per_class["red"]}}
        assert score == dataclasses.replace(expected.arms[arm], **not_there, **of_red)
    assert set(expected.arms) - set(result.arms) == {"sharp-through:idle"}
    assert result.recovered == expected.recovered
    assert result.recovered["unmove"].value == pytest.approx(1)
    assert result.ap_difference == expected.ap_difference
    assert result.over == expected.over
    assert result.harm["unmove"] == expected.harm["unmove"]
    assert result.harm["unmove"].value is not None
    assert result.harm["idle"].value is None
    assert set(result.consistency) == set(expected.consistency) - {"sharp-through:idle"}
    names = ("detector", "blur", "arm", "picture")
    saved, of_detector = (json.loads((run / "predictions.json").read_text()) for run in (Path("run"), folder))
    boxes = [{tuple(e[n] for n in names): e["boxes"] for e in each["predictions"]} for each in (saved, of_detector)]
    assert boxes[0].items() <= boxes[1].items()
    assert out == run_table(read_metrics("run")) + "\n"
    assert "deblurred:unmove 1.000 1.000 1.000" in " ".join(out.split())
    assert "over the first" in out


def test_intervals_are_drawn_by_the_seed_and_scored_by_the_library_that_is_named(command: Command) -> None:
    code, out, err = command(*command.whole, "--seed", "5", "--backend", "faster-coco-eval", "--json")
    assert code == 0, err
    protocol = json.loads(out)["protocol"]
    assert (protocol["bootstrap"]["seed"], protocol["scoring"]["backend"]) == (5, "faster-coco-eval")


def test_json_is_the_document_of_the_run(command: Command) -> None:
    code, out, err = command(*command.whole, "--json", "--blur-name", "street/shake:8")
    assert code == 0, err
    document = json.loads(out)
    folder = Path(document["run"])
    assert folder == Path("runs/score_boxes/finder-street-shake-8")
    assert json.loads((folder / "metrics.json").read_text()) | {"run": str(folder)} == document
    assert {path.name for path in folder.iterdir()} == {
        *("config.yaml", "env.json", "log.txt"),
        *("metrics.json", "per_image.csv", "predictions.json", "curves.json"),
    }
    assert document["protocol"]["detection"]["boxes"] == "from files that another program wrote"
    assert document["blurs"][0] | {"sha256": ""} == {
        "name": "street/shake:8",
        "kind": "boxes",
        "length": None,
        "sha256": "",
    }
    files = document["data"]["files"]
    assert list(files) == ["sharp", "sharp-through:unmove", "blurred", "deblurred:unmove", "deblurred:idle"]
    assert files["deblurred:unmove"]["sha256"] == document["deblurrers"][0]["sha256"]
    assert [record["kind"] for record in document["deblurrers"]] == ["boxes", "boxes"]
    again = read_yaml(folder / "config.yaml")
    assert again["boxes"][0] == f"sharp={command.file('sharp')}"
    code, out, err = command("--config", str(folder / "config.yaml"), "--json")
    assert code == 0, err
    assert json.loads(out)["results"] == document["results"]
    assert json.loads(out)["run"] == "runs/score_boxes/finder-street-shake-8-2"


def test_files_as_other_programs_write_them(command: Command) -> None:
    code, out, err = command(*command.whole, "--json")
    assert code == 0, err
    number = {"image_id": float, "category_id": float}
    for name in NAMES:
        command.change(name, lambda entry: {key: number[key](entry[key]) for key in number} | {"segmentation": []})
    code, again, err = command(*command.whole, "--json")
    assert code == 0, err
    assert json.loads(again)["results"] == json.loads(out)["results"]


def test_boxes_are_scored_as_they_are_rounded_and_saved(command: Command) -> None:
    """Half of an object, but for less than is kept of a box."""
    command.change("unmove", lambda entry: {"bbox": [*entry["bbox"][:2], 9.9996, entry["bbox"][3]]})
    code, out, err = command(*command.whole, "--json")
    assert code == 0, err
    assert json.loads(out)["results"][0]["arms"]["deblurred:unmove"]["ap50"] == pytest.approx(1)


def test_boxes_may_go_by_the_names_of_pictures(command: Command) -> None:
    _, out, _ = command(*command.whole, "--json")
    names = {image["id"]: image["file_name"] for image in json.loads(command.annotations.read_text())["images"]}
    for name in NAMES:
        command.change(name, lambda entry: {"image_id": Path(names[entry["image_id"]]).stem})
    entries = json.loads(command.file("blurred").read_text())
    strangers = [{**entries[0], "image_id": called} for called in ("gone", 99, 10**9)]
    command.file("blurred").write_text(json.dumps(entries + strangers))
    code, again, err = command(*command.whole, "--json")
    assert code == 0, err
    assert json.loads(again)["results"] == json.loads(out)["results"]
    assert "left out: 3 on pictures that are not scored (image_id 99, 1000000000, gone)\n" in err


def test_sharp_boxes_may_be_missing(command: Command) -> None:
    code, out, err = command(*command.base, *command.boxes("idle", "blurred", "unmove"), "--json")
    assert code == 0, err
    document = json.loads(out)
    (result,) = document["results"]
    assert list(result["arms"]) == ["blurred", "deblurred:idle", "deblurred:unmove"]
    assert result["recovered"]["unmove"]["value"] is None
    assert result["over"]["unmove"]["idle"]["value"] == pytest.approx(1)
    assert document["data"]["sharp"] is None
    assert document["run"] == "runs/score_boxes/detector-blurred"


def test_a_picture_without_an_entry_is_one_where_nothing_was_found(command: Command) -> None:
    command.file("unmove").write_text(json.dumps(json.loads(command.file("unmove").read_text())[:3]))
    code, out, err = command(*command.whole, "--json")
    assert code == 0, err
    assert 0 < json.loads(out)["results"][0]["arms"]["deblurred:unmove"]["ap"] < 0.6
    assert f"deblurred:unmove: {command.file('unmove')}: 3 boxes on 3 of 6 pictures, lowest score 0.9\n" in err


def test_pictures_that_no_detector_seems_to_have_seen_are_told(command: Command) -> None:
    for name in ("blurred", "idle"):
        command.file(name).write_text(json.dumps(json.loads(command.file(name).read_text())[:4]))
    code, _, err = command(*command.base, *command.boxes("blurred", "idle"))
    assert code == 0, err
    assert "2 pictures have no box in any file and count as pictures where nothing was found: if the" in err


def test_what_the_annotations_lack_is_counted_and_left_out(command: Command) -> None:
    _, out, _ = command(*command.whole, "--json")
    entries = json.loads(command.file("blurred").read_text())
    strangers = [{**entries[0], "image_id": 99}, {**entries[0], "image_id": 99}, {**entries[0], "category_id": 0}]
    command.file("blurred").write_text(json.dumps(entries + strangers))
    code, again, err = command(*command.whole, "--json")
    assert code == 0, err
    assert json.loads(again)["results"] == json.loads(out)["results"]
    (line,) = [line for line in err.splitlines() if line.startswith("blurred: ")]
    assert "; left out: 2 on pictures that are not scored (image_id 99) and 1 of classes that" in line
    assert line.endswith("are not annotated (category_id 0)")
    assert line in Path(json.loads(again)["run"], "log.txt").read_text()


def test_equal_files_are_told(command: Command) -> None:
    shutil.copy(command.file("blurred"), command.file("unmove"))
    code, _, err = command(*command.whole)
    assert code == 0, err
    # "idle" restores nothing, so that its boxes are those of the blurred pictures anyway.
    assert "blurred and deblurred:unmove and deblurred:idle have equal files: is that so?" in err
    assert "sharp and sharp-through:unmove have equal files" not in err


@pytest.mark.parametrize("kind", ["folder", "list"])
def test_the_pictures_that_were_looked_at_can_be_named(
    command: Command, settings_of_six: Settings, kind: str, tmp_path: Path
) -> None:
    place = tmp_path / "looked-at"
    if kind == "list":
        place.write_text("val/b.png\nval/c.jpg\n\nval/other.png\n")
    else:
        place.mkdir()
        for name in ("b", "c"):
            shutil.copy(Path(settings_of_six.annotations).parent / "sharp" / f"{name}.png", place)
        shutil.copy(place / "b.png", place / "other.png")
    code, out, err = command(*command.whole, "--pictures-from", str(place), "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["data"]["n_pictures"], document["data"]["n_annotated"]) == (2, 6)
    assert "--pictures-from: 2 of 6 annotated pictures are scored" in err
    assert f"{place}: 1 pictures without annotation are left out" in err
    assert "2 boxes on 2 of 2 pictures, lowest score 0.9; left out: 4 on pictures that are not scored" in err
    assert "(image_id 0, 3, 4, 5)" in err
    assert "have no box in any file" not in err
    assert run_table(read_metrics(document["run"])).startswith("2 pictures (of 6 that are annotated)\n")
    before = Path(document["run"], "metrics.json").read_bytes()
    if kind == "list":
        place.unlink()
    assert rescore.main([document["run"]]) == 0
    assert Path(document["run"], "metrics.json").read_bytes() == before


def test_classes_can_be_chosen(command: Command) -> None:
    code, out, err = command(*command.whole, "--classes", "red", "--json")
    assert code == 0, err
    assert json.loads(out)["protocol"]["scoring"]["classes"] == ["red"]
    shutil.rmtree("runs")
    assert f"{command.annotations} has no class 'rad': did you mean red?" in command.refused(
        *command.whole, "--classes", "rad"
    )


def test_the_run_is_drawn_reported_compared_and_scored_anew(
    command: Command, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(*command.whole, "--output", "run")[0] == 0
    assert report.main(["run"]) == 0
    assert "Restored by unmove" in Path("run/report.html").read_text()

    # The same boxes on sharp and blurred pictures, and other restorations.
    other = [*command.base, "--detector-name", "finder", *command.boxes("sharp", "blurred"), "--boxes"]
    assert command(*other, f"more={command.file('unmove')}", "--output", "more")[0] == 0
    assert compare.main(["run", "more"]) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert "recovered more not measured 1.000" in table
    assert plots.main(["run", "more", "--output", "both"]) == 0
    assert Path("both/recovered.png").is_file()

    # What is not the same stays apart: other boxes on the blurred pictures, and a detector of the project's own.
    assert command(*command.base, "--detector-name", "finder", *command.boxes("blurred"), "--output", "less")[0] == 0
    assert compare.main(["run", "less"]) == 1
    assert "they differ in data.sharp" in capsys.readouterr().err
    assert compare.main(["run", str(folder)]) == 1
    err = capsys.readouterr().err
    assert "protocol.detection.boxes" in err
    assert "protocol.detection.confidence" in err

    before = {name: Path("run", name).read_bytes() for name in ("metrics.json", "per_image.csv", "curves.json")}
    for name in NAMES:
        command.file(name).unlink()
    assert rescore.main(["run"]) == 0
    assert {name: Path("run", name).read_bytes() for name in before} == before
    assert rescore.main(["run", "--bootstrap", "0"]) == 0
    assert read_metrics("run").results[0].recovered["unmove"].low is None


def test_annotations_need_not_tell_sizes(command: Command) -> None:
    content = json.loads(command.annotations.read_text())
    for image in content["images"]:
        del image["width"], image["height"]
    command.annotations.write_text(json.dumps(content))
    assert command(*command.whole, "--output", "run")[0] == 0
    assert {truth.width for truth in read_predictions("run").truths} == {0}


def test_wrong_usage(command: Command) -> None:
    assert "--annotations is needed" in command.misused(*command.boxes("blurred"))
    assert "--boxes needs blurred=FILE" in command.misused(*command.base)
    assert "--boxes needs blurred=FILE" in command.misused(*command.base, *command.boxes("sharp", "unmove"))
    twice = command.boxes("blurred", "unmove", "unmove")
    assert "--boxes has unmove twice" in command.misused(*command.base, *twice)
    assert "'blurred.json' is not NAME=FILE" in command.misused(*command.base, "--boxes", "blurred.json")
    for name in ("sharp-through:unmove", "deblurred:unmove", "sharp-through"):
        said = command.misused(*command.base, *command.boxes("blurred", name))
        assert f"--boxes {name}: a deblurrer's name has no colon" in said
    for name in ("unmove+mirrored", "mirrored+blurred"):
        said = command.misused(*command.base, *command.boxes("blurred", name))
        assert f"--boxes {name}: results call boxes of two passes so" in said
    through = ["--sharp-through", f"unmove={command.file('through')}"]
    said = command.misused(*command.base, *command.boxes("blurred", "unmove"), *through)
    assert "--sharp-through needs --boxes sharp=FILE" in said
    said = command.misused(*command.base, *command.boxes("sharp", "blurred", "idle"), *through)
    assert "--sharp-through unmove: --boxes has no deblurrer of this name" in said
    assert "no name that can be printed" in command.misused(*command.whole, "--detector-name", "a\nb")


def test_files_that_hold_no_boxes_are_named(command: Command, tmp_path: Path) -> None:
    base = [*command.base, *command.boxes("blurred"), "--boxes"]
    assert f"cannot read {tmp_path / 'gone.json'}" in command.refused(*base, f"x={tmp_path / 'gone.json'}")
    assert f"cannot read {tmp_path}: Is a directory" in command.refused(*base, f"x={tmp_path}")
    (tmp_path / "text.json").write_text("image, box")
    assert "text.json is not JSON" in command.refused(*base, f"x={tmp_path / 'text.json'}")
    said = command.refused(*base, f"x={command.annotations}")
    assert f"{command.annotations} is not a COCO results file: a list is needed" in said
    command.change("idle", lambda entry: {"score": 90})
    assert "idle.json: [0]: width and height are not negative, score is from 0 to 1" in command.refused(
        *command.base, *command.boxes("blurred", "idle")
    )


def test_boxes_of_other_annotations_are_refused(command: Command) -> None:
    command.change("unmove", lambda entry: {"category_id": 0})
    said = command.refused(*command.whole)
    assert f"{command.file('unmove')} has no box that can be scored, but 6 of classes that are not annotated" in said
    assert f"(category_id 0): are image_id and category_id those of {command.annotations}?" in said
    command.change("unmove", lambda entry: {"category_id": 7, "image_id": 100 + entry["image_id"]})
    said = command.refused(*command.whole)
    assert "6 on pictures that are not scored (image_id 100, 101, 102, 103, 104, ...): are" in said


def test_annotations_that_cannot_be_used_are_named(command: Command) -> None:
    boxes = command.boxes("blurred")
    assert "gone.json" in command.refused("--annotations", "gone.json", *boxes)
    for place in (command.folder, command.folder / "data.yaml"):
        said = command.refused("--annotations", str(place), *boxes)
        assert f"{place} is not COCO's annotations (.json)" in said
    content = json.loads(command.annotations.read_text())
    Path("none.json").write_text(json.dumps(content | {"annotations": []}))
    said = command.refused("--annotations", "none.json", *boxes)
    assert "none.json has no object to score detector on in the 6 pictures measured" in said
    two = [*content["categories"], {"id": 9, "name": "red"}]
    Path("two.json").write_text(json.dumps(content | {"categories": two}))
    said = command.refused("--annotations", "two.json", *boxes)
    assert "two.json: the categories 7 and 9 are both called 'red'" in said
    Path("names.txt").write_text("z.png\n")
    said = command.refused(*command.base, *boxes, "--pictures-from", "names.txt")
    assert f"{command.annotations} has none of the 1 pictures that are to be scored" in said
    assert "cannot read gone.txt" in command.refused(*command.base, *boxes, "--pictures-from", "gone.txt")


def test_no_run_is_written_over(command: Command) -> None:
    assert command(*command.whole, "--output", "run")[0] == 0
    before = {path.name: path.read_bytes() for path in Path("run").iterdir()}
    assert "--output run holds files already" in command.refused(*command.whole, "--output", "run")
    assert {path.name: path.read_bytes() for path in Path("run").iterdir()} == before
    write_yaml(Path("options.yaml"), {"annotations": str(command.annotations), "boxes": ["blurred"]})
    assert "boxes: 'blurred' is not NAME=FILE" in command.misused("--config", "options.yaml")


def test_the_pages_name_the_command() -> None:
    root = Path(__file__).resolve().parents[2]
    for page in ("README.md", "docs/commands.md", "docs/detectors.md", "docs/detection-gain.md"):
        assert "python -m experiments.score_boxes" in (root / page).read_text(encoding="utf-8"), page
    anchor = "(detectors.md#boxes-that-another-program-found)"
    assert anchor in (root / "docs/commands.md").read_text(encoding="utf-8")
    assert "\n## Boxes that another program found\n" in (root / "docs/detectors.md").read_text(encoding="utf-8")
