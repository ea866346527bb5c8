"""The page is one file that loads nothing, reads nothing from data as markup, and works in a browser."""

from __future__ import annotations

import base64
import html
import itertools
import json
import re
import shutil
import subprocess
from dataclasses import fields, replace
from html.parser import HTMLParser
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest
from matplotlib.colors import to_rgb

from detection.bootstrap import Interval
from experiments import plots
from experiments.gain.files import read_predictions, write_metrics
from experiments.gain.records import CONTROL, DeblurrerRecord, DetectorRecord, deblurred_arm
from experiments.plotting.figures import charts
from experiments.plotting.runs import OpenRun, Runs, restored_examples
from experiments.plotting.sheet import Drawing, Plot
from experiments.plotting.style import (
    BLURRED_LOOK,
    CONTROL_LOOK,
    DARK,
    LIGHT,
    MINUS,
    SHARP_LOOK,
    Palette,
    deblurrer_look,
    styled,
)
from experiments.report import main
from experiments.reporting import page as building
from experiments.reporting.browser import PictureBook
from experiments.reporting.tables import origins, tables
from experiments.reporting.words import findings, summary
from tests.experiments.gain_runs import write_predictions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from experiments.gain.records import GainRun

    MakeRun = Callable[..., GainRun]

EVIL = "<script>alert(1)</script>"
VOID = {"meta", "link", "img", "input", "br", "line", "rect"}


class Page(HTMLParser):
    """Elements with their attributes, after checking that every one is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in {"script", "style"}:
            self.text += data

    def of(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def without_figures(monkeypatch: pytest.MonkeyPatch, runs: Runs, max_pictures: int = 72) -> str:
    """The page but for its figures, which take long to draw."""
    monkeypatch.setattr(building, "charts", lambda drawing: [])
    return building.build_page(runs, max_pictures)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, make_run: MakeRun) -> str:
    folder = tmp_path_factory.mktemp("report") / "run"
    make_run(folder, detectors=("det", "other"), blurs=(8,), deblurrer=f"net {EVIL}")
    assert main([str(folder)]) == 0
    return (folder / "report.html").read_text(encoding="utf-8")


def test_the_page_is_sound_and_loads_nothing(report: str) -> None:
    page = Page(report)
    assert "http" not in re.sub(r"http-equiv", "", re.sub(r"base64,[\w+/=]+", "", report))
    assert all(value.startswith(("data:", "#")) for _, found in page.elements for key, value in found.items()
               if key in {"src", "href", "action", "poster", "data"})  # fmt: skip
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for attributes in page.of("a"):
        assert attributes["href"][1:] in ids
    for key in ("aria-labelledby", "for"):
        assert all(found[key] in ids for _, found in page.elements if key in found)
    assert all("alt" in attributes for attributes in page.of("img"))
    assert len(page.of("h1")) == len(page.of("main")) == 1


def test_strings_from_data_are_never_markup(report: str) -> None:
    page = Page(report)
    assert len(page.of("script")) == 2
    assert EVIL not in report
    assert html.escape(EVIL) in report
    assert EVIL in page.text
    (policy,) = [found["content"] for found in page.of("meta") if found.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy.partition("script-src")[2].partition(";")[0]


def test_the_pictures_carry_boxes_and_stay_few(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "charts", lambda drawing: [])
    make_run(tmp_path / "run")
    for limit, expected in ((1, 1), (100, 4)):
        assert main([str(tmp_path / "run"), "--max-pictures", str(limit), "--overwrite"]) == 0
        text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        found = re.search(r'<script type="application/json" id="book">(.*?)</script>', text, re.DOTALL)
        assert found
        book = json.loads(found[1])
        assert len(book["examples"]) == expected
    first = book["examples"][0]
    assert [arm["name"] for arm in first["arms"]] == ["sharp", "blurred", "restored by net"]
    assert [len(arm["boxes"]) for arm in first["arms"]] == [2, 0, 2]  # the box of score .02 is left behind
    assert {example["effect"] for example in book["examples"]} == {"helped", "hurt"}
    assert len(book["images"]) == 3


def test_an_example_has_its_scores_and_the_size_that_its_boxes_lie_in(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "run", blurs=(8,))
    book = PictureBook(Runs([tmp_path / "run"]), 72).to_json()
    scores = [(each["effect"], each["picture"], each["before"], each["after"]) for each in book["examples"]]
    assert scores == [("helped", "one", 0.2, 0.8), ("hurt", "two", 0.7, 0.1)]
    # The boxes are laid over pictures of any size by these.
    assert book["truths"]["det"]["one"] == {"width": 64, "height": 48, "boxes": [[4, 4, 24, 24, 0, 0]]}
    assert (book["confidence"], book["lowest"]) == (0.25, 0.1)  # where the slider stands at first, and where it ends
    boxes = {arm["name"]: arm["boxes"] for arm in book["examples"][0]["arms"]}
    assert boxes["restored by net"] == [[5, 4, 24, 25, 0, 0.9], [30, 10, 60, 40, 1, 0.4]]


def test_the_page_has_every_finding_however_many_there_are(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(tmp_path / "run", detectors=tuple("abcdef"), limit=2)
    page = Page(without_figures(monkeypatch, Runs([tmp_path / "run"])))
    cards = [attributes for attributes in page.of("li") if attributes.get("class", "").startswith("card ")]
    assert len(cards) == 6 * 2
    assert "3 further findings" in page.text
    assert "A trial: only the first 2 pictures were used." in page.text


@pytest.mark.parametrize("way", ["absolute", "above", "link"])
def test_no_picture_outside_the_run_is_carried(tmp_path: Path, make_run: MakeRun, way: str) -> None:
    run = make_run(tmp_path / "run")
    (tmp_path / "own.png").write_bytes((tmp_path / "run" / "pictures" / "2.jpg").read_bytes())
    (tmp_path / "run" / "link.png").symlink_to(tmp_path / "own.png")
    file = {"absolute": str(tmp_path / "own.png"), "above": "../own.png", "link": "link.png"}[way]
    results = [
        replace(
            result, examples=[replace(each, pictures=dict.fromkeys(each.pictures, file)) for each in result.examples]
        )
        for result in run.results
    ]
    write_metrics(tmp_path / "run", replace(run, results=results))
    assert OpenRun(tmp_path / "run", "run").picture("pictures/2.jpg") is not None
    assert OpenRun(tmp_path / "run", "run").picture(file) is None
    assert main([str(tmp_path / "run")]) == 0
    assert '"examples":[]' in (tmp_path / "run" / "report.html").read_text(encoding="utf-8").replace(" ", "")
    assert plots.main([str(tmp_path / "run")]) == 0
    assert not list((tmp_path / "run").rglob("strips*"))


def test_few_examples_are_of_every_detector_blur_and_deblurrer(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", detectors=("a", "b", "c"), blurs=(8, 16), deblurrer="net")
    names = ["net", "second", "third"]
    examples = [
        replace(example, deblurrer=name, rank=rank, pictures=example.pictures | {deblurred_arm(name): "pictures/2.jpg"})
        for example in run.results[0].examples
        for name in names
        for rank in (1, 2)
    ]
    gains = dict.fromkeys(names, Interval(0.1, 0.05, 0.15, 0.95, 1000, 0))
    results = [replace(result, ap_difference=gains, examples=examples) for result in run.results]
    write_metrics(tmp_path / "run", replace(run, results=results))
    saved = read_predictions(tmp_path / "run")
    for name, (key, boxes) in itertools.product(names, list(saved.predicted.items())):
        if key[2] == deblurred_arm("net"):
            saved.predicted[(*key[:2], deblurred_arm(name), key[3])] = boxes
    write_predictions(tmp_path / "run", saved)
    runs = Runs([tmp_path / "run"])

    def shown(limit: int) -> tuple[list[dict[str, Any]], list[str]]:
        book = PictureBook(runs, limit)
        return book.to_json()["examples"], book.absent

    found, absent = shown(6)
    assert {(one["detector"], one["blur"]) for one in found} == {
        (detector, f"camera shake {length} px") for detector in "abc" for length in (8, 16)
    }
    assert {one["deblurrer"] for one in found} == set(names)
    assert {one["effect"] for one in found} == {"helped", "hurt"}
    assert absent == []
    found, _ = shown(18)
    assert len({(one["detector"], one["blur"], one["deblurrer"]) for one in found}) == 18
    for key in ("detector", "blur", "deblurrer"):
        for value in {one[key] for one in found}:
            assert {one["effect"] for one in found if one[key] == value} == {"helped", "hurt"}
    found, absent = shown(1)
    left = [f"{detector}, camera shake {length} px" for detector in "abc" for length in (8, 16)]
    assert absent == [*left[1:], "second", "third"]
    text = Page(without_figures(monkeypatch, runs, 1)).text
    left_out = "71 more are left out to keep this page small; --max-pictures carries more. There is none here of:"
    assert f"{left_out} {left[1]}; {left[2]};" in text


def test_a_page_is_not_replaced_in_silence(
    tmp_path: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run", blurs=(8,))
    output = tmp_path / "page.html"
    output.write_text("mine")
    assert main([str(tmp_path / "run"), "--output", str(output)]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert output.read_text() == "mine"


def test_a_run_with_little_still_has_a_page(tmp_path: Path, make_run: MakeRun) -> None:
    nothing = Interval(None, None, None, 0.95, 0, 0)
    make_run(tmp_path / "run", has_sharp=False, recovered=nothing, harm=nothing, cost=None)
    for name in ("curves.json", "predictions.json", "env.json"):
        (tmp_path / "run" / name).unlink()
    assert main([str(tmp_path / "run")]) == 0
    text = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "there are no sharp ones to compare with" in page.text
    assert 'id="browser"' not in text
    assert "No figure recovered" in page.text


def test_names_that_are_no_utf8_stand_on_the_page(
    tmp_path: Path, make_run: MakeRun, garbled_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / garbled_name
    run = make_run(folder, blurs=(8,))
    write_metrics(folder, replace(run, data=run.data | {"sharp": {"path": f"/data/{garbled_name}", "sha256": "bb"}}))
    monkeypatch.setattr(building, "charts", lambda drawing: [])
    assert main([str(folder)]) == 0
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert r"/data/caf\udce9" in page.text
    assert page.text.count(r"caf\udce9") > 1  # its own name


@pytest.mark.parametrize(("content", "said"), [("[]", "holds no JSON object"), ("{", "is not JSON")])
def test_a_damaged_environment_is_one_line(
    tmp_path: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str], content: str, said: str
) -> None:
    make_run(tmp_path / "run", blurs=(8,))
    file = tmp_path / "run" / "env.json"
    file.write_text(content)
    assert main([str(tmp_path / "run")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file} {said}")


@pytest.mark.parametrize(
    ("options", "verdict", "words"),
    [
        ({"gain": (0.1, 0.05, 0.15)}, "better", "The interval lies above 0"),
        ({"gain": (0.1, -0.05, 0.15)}, "open", "The interval includes 0"),
        ({"gain": (-0.1, -0.15, -0.05)}, "worse", "restoring harms this detector"),
        ({"gain": (0.1, None, None)}, "open", "Without an interval it stays open"),
        ({"gain": (0.1, 0.0, 0.15)}, "open", "The interval includes 0"),
        ({"ap": (0.2, 0.3, 0.31), "recovered": (None, None, None)}, "better", "Blur cost no AP here"),
        ({"harm": (0.01, 0.005, 0.02)}, "better", "change AP by \N{MINUS SIGN}1.0 points"),
        ({"harm": (0.01, -0.005, 0.02)}, "better", "which may be chance"),
        (
            {"harm": (0.0001, -0.0002, 0.02)},
            "better",
            "change AP by \N{MINUS SIGN}0.01 points (\N{MINUS SIGN}2.0 to +0.02), which may be",
        ),
        (
            {"gain": (0.1, 0.0002, 0.15)},
            "better",
            "+10.0 points (95 % interval +0.02 to +15.0). The interval lies above 0",
        ),
        (
            {"gain": (-0.1, -0.15, -0.0002)},
            "worse",
            "10.0 points (95 % interval \N{MINUS SIGN}15.0 to \N{MINUS SIGN}0.02). The interval lies below 0",
        ),
        ({"gain": (0.0, 0.0, 0.15)}, "open", ": 0 points (95 % interval 0 to +15.0). The interval includes 0"),
        ({"harm": (0.0, 0.0, 0.0)}, "better", "Sharp pictures put through it keep their AP."),
        ({"harm": (0.0, -0.01, 0.02)}, "better", "by 0 points (\N{MINUS SIGN}2.0 to +1.0), which may be chance."),
        ({"harm": (0.01, 0.0, 0.02)}, "better", "points (\N{MINUS SIGN}2.0 to 0), which may be chance."),
    ],
)
def test_words_say_no_more_than_the_interval(
    tmp_path: Path,
    make_run: MakeRun,
    options: dict[str, tuple[float | None, float | None, float | None]],
    verdict: str,
    words: str,
) -> None:
    intervals = {
        key: value if key == "ap" else Interval(*value, confidence=0.95, n_draws=1000, n_excluded=0)
        for key, value in options.items()
    }
    make_run(tmp_path / "run", blurs=(8,), **intervals)
    (finding,) = findings(Runs([tmp_path / "run"]))
    assert finding.verdict == verdict
    assert words in finding.sentences
    assert summary([finding], "95") == ""


@pytest.mark.parametrize(
    ("recovered", "headline", "words"),
    [
        ((0.5, 0.25, 0.75, 0), ("50 %", "of the lost AP recovered (25 % to 75 %)"), ""),
        ((-0.2, -0.4, -0.003, 0), (f"{MINUS}20 %", f"of the lost AP recovered ({MINUS}40 % to {MINUS}0.3 %)"), ""),
        ((0.0, -0.4, 0.003, 0), ("0 %", f"of the lost AP recovered ({MINUS}40 % to 0.3 %)"), ""),
        (
            (-3.01, None, None, 900),
            ("+10.0", "points of AP (+5.0 to +15.0)"),
            f"The recovered fraction, {MINUS}301 %, has no interval: in too many draws blur cost nothing",
        ),
        (
            (0.5, None, None, 0),
            ("+10.0", "points of AP (+5.0 to +15.0)"),
            "The recovered fraction, 50 %, has no interval.",
        ),
        ((None, None, None, 0), ("+10.0", "points of AP (+5.0 to +15.0)"), "Blur cost no AP here"),
    ],
)
def test_a_share_of_the_loss_is_the_big_figure_only_with_its_interval(
    tmp_path: Path,
    make_run: MakeRun,
    recovered: tuple[float | None, float | None, float | None, int],
    headline: tuple[str, str],
    words: str,
) -> None:
    value, low, high, n_excluded = recovered
    make_run(tmp_path / "run", blurs=(8,), recovered=Interval(value, low, high, 0.95, 1000 - n_excluded, n_excluded))
    (finding,) = findings(Runs([tmp_path / "run"]))
    assert (finding.headline, finding.interval) == headline
    assert words in finding.sentences
    assert finding.bar == (None if low is None else (100 * value, 100 * low, 100 * high))


@pytest.mark.parametrize(
    ("beyond", "verdict", "words"),
    [
        (
            (0.08, 0.01, 0.15),
            "better",
            "restoring adds +8.0 points (95 % interval +1.0 to +15.0) to that, and the interval"
            " lies above 0: this much is the restoration's",
        ),
        (
            (0.08, -0.01, 0.15),
            "perhaps-control",
            "the interval includes 0: nothing here says that restoring adds to the augmentation",
        ),
        ((-0.08, -0.15, -0.01), "below-control", "the interval lies below 0: the augmentation alone does more"),
        ((0.08, None, None), "open", "without an interval it stays open"),
        (None, "open", "they give 30.0: +10.0 points"),
    ],
)
def test_fused_boxes_are_judged_by_their_control_and_the_control_is_no_finding(
    tmp_path: Path,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    beyond: tuple[float, float | None, float | None] | None,
    verdict: str,
    words: str,
) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    names = {"net+mirrored": 0.1, CONTROL: 0.02}
    gains = {name: Interval(gain, gain - 0.01, gain + 0.01, 0.95, 1000, 0) for name, gain in names.items()}
    arms = {deblurred_arm(name): result.arms["deblurred:net"] for name in names}
    share = Interval(0.3, *((0.2, 0.4) if beyond and beyond[1] is not None else (None, None)), 0.95, 1000, 0)
    lost = Interval(0.012, *((-0.01, 0.02) if share.low is not None else (None, None)), 0.95, 1000, 0)
    of_control_too = [replace(example, deblurrer=CONTROL) for example in result.examples]
    result = replace(
        result,
        arms=result.arms | arms,
        ap_difference=result.ap_difference | gains,
        examples=[*result.examples, *of_control_too],
        beyond_control={"net+mirrored": Interval(*beyond, 0.95, 1000, 0)} if beyond else {},
        harm=result.harm | {"net+mirrored": Interval(-0.017, -0.02, -0.01, 0.95, 1000, 0)},
        recovered_looking_twice={"net+mirrored": share} if beyond else {},
        harm_looking_twice={"net+mirrored": lost} if beyond else {},
        over={"net+mirrored": {"first": Interval(0.034, 0.01, 0.05, 0.95, 1000, 0)}},
    )
    records = [*run.deblurrers, *(DeblurrerRecord(name, "fused", name) for name in names)]
    write_metrics(tmp_path / "run", replace(run, deblurrers=records, results=[result]))
    runs = Runs([tmp_path / "run"])
    by_name = {finding.deblurrer: finding for finding in findings(runs)}
    assert list(by_name) == ["net", "net+mirrored"]
    gain_rows = next(table for table in tables(runs) if table.name == "gains").rows
    of_fused = {row[2].text: [cell.number for cell in row[12:]] for row in gain_rows}["net+mirrored"]
    of_twice = [value for each in (share, lost) for value in (each.value, each.low, each.high)]
    assert of_fused == [*(beyond or (None,) * 3), *(of_twice if beyond else (None,) * 6), 0.034, 0.01, 0.05]
    over_first = "Beside those restored by first that is a difference of +3.4 points (95 % interval +1.0 to +5.0)."
    assert over_first in by_name["net+mirrored"].sentences
    assert "Beside" not in by_name["net"].sentences
    assert (by_name["net"].verdict, by_name["net+mirrored"].verdict) == ("better", verdict)
    of_control = "its mirror image, changes AP by +2.0 points"
    ends = " (20 % to 40 %)" if share.low is not None else ", which has no interval"
    of_harm = f" ({MINUS}2.0 to +1.0), which may be chance" if share.low is not None else ""
    said_of_twice = [
        f"With two passes over the sharp pictures too, 30 % of what blur takes is recovered{ends}.",
        f"Beside two passes over the sharp pictures, those put through it change AP by {MINUS}1.2 points{of_harm}.",
    ]
    assert words in by_name["net+mirrored"].sentences
    for part in (of_control, *said_of_twice):
        assert (part in by_name["net+mirrored"].sentences) == (beyond is not None)
        assert part not in by_name["net"].sentences
    assert "Sharp pictures put through it change AP by +1.7 points (+1.0 to +2.0)." in by_name["net+mirrored"].sentences
    assert ("Beside two passes" in by_name["net+mirrored"].sentences) == (beyond is not None)
    assert ("restoring helps this detector" in by_name["net+mirrored"].sentences) == (verdict == "better")
    text = summary(list(by_name.values()), "95")
    counts = [2, 0, 0] if verdict == "better" else [1, 0, int(verdict == "open")]
    head = "Of 2 comparisons (detector, blur, deblurrer), restoring raised AP in {} and lowered it in {}, with a 95 %"
    assert text.startswith(f"{head} interval that leaves out 0; {{}} are not decided.".format(*counts))
    assert f"in {int(verdict == 'perhaps-control')} others AP surely changed" in text
    assert f"in {int(verdict == 'below-control')} it is surely less" in text
    built = without_figures(monkeypatch, runs)
    assert "Fused boxes must also beat their control" in Page(built).text.split("Not decided")[0]
    assert f'<li class="card {verdict}">' in built
    assert {example.deblurrer for example in restored_examples(result)} == {"net"}
    control = next(series for series in runs.deblurred if series.deblurrer == CONTROL)
    assert control.look == CONTROL_LOOK


@pytest.mark.parametrize(
    ("gain", "beyond", "verdict", "words"),
    [
        ((-0.1, -0.2, -0.05), (-0.1, -0.2, -0.05), "worse", "Restoring harms"),
        ((-0.1, -0.2, -0.05), (0.01, -0.1, 0.1), "perhaps-control", "Perhaps the second pass alone"),
        ((-0.1, -0.2, -0.05), (0.1, 0.05, 0.2), "perhaps-control", "Perhaps the second pass alone"),
        ((-0.1, -0.2, -0.05), None, "open", "Not decided"),
        ((0.01, -0.1, 0.1), (-0.1, -0.2, -0.05), "below-control", "Less than a second pass"),
        ((0.01, -0.1, 0.1), (0.01, -0.1, 0.1), "open", "Not decided"),
        ((0.01, -0.1, 0.1), (0.1, 0.05, 0.2), "open", "Not decided"),
        ((0.1, None, None), (0.1, None, None), "open", "Not decided"),
    ],
)
def test_fused_boxes_harm_only_where_they_are_below_their_control_too(
    tmp_path: Path,
    make_run: MakeRun,
    gain: tuple[float, float | None, float | None],
    beyond: tuple[float, float | None, float | None] | None,
    verdict: str,
    words: str,
) -> None:
    run = make_run(tmp_path / "run", blurs=(8,), gain=Interval(*gain, 0.95, 1000, 0))
    (result,) = run.results
    result = replace(
        result,
        ap_difference=result.ap_difference | {CONTROL: Interval(-0.1, -0.2, -0.05, 0.95, 1000, 0)},
        beyond_control={"net": Interval(*beyond, 0.95, 1000, 0)} if beyond else {},
    )
    records = [DeblurrerRecord(name, "fused", name) for name in ("net", CONTROL)]
    write_metrics(tmp_path / "run", replace(run, deblurrers=records, results=[result]))
    (finding,) = findings(Runs([tmp_path / "run"]))
    assert (finding.verdict, finding.verdict_words) == (verdict, words)
    assert ("restoring harms this detector" in finding.sentences) == (verdict == "worse")


def test_headings_name_their_column_and_hashes_say_what_made_the_run(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    told = DeblurrerRecord("told", "network", "5ea1", None, None, 3060221, True, "5ea2", "5ea3", "5ea4")
    known = DetectorRecord("det", "5ea5", ["person", "dog"], "5ea6")
    changed = replace(run, detectors=[known], deblurrers=[*run.deblurrers, told])
    write_metrics(tmp_path / "run", changed)
    runs = Runs([tmp_path / "run"])
    made = {table.name: table for table in origins(runs)}
    deblurrers = [[cell.text for cell in row] for row in made["deblurrers"].rows]
    dash = "\N{EN DASH}"
    assert deblurrers == [
        ["net", "network", "9", "100.00", "12.5", dash, "bb", dash, dash, dash],
        ["told", "network", "3,060,221", dash, dash, "yes", "5ea1", "5ea2", "5ea4", "5ea3"],
    ]
    assert [[cell.text for cell in row] for row in made["detectors"].rows] == [["det", "2", "5ea5", "5ea6"]]
    for table in [*tables(runs), *made.values()]:
        headings = [(column.of, column.name) for column in table.columns]
        assert len(set(headings)) == len(headings)
    text = without_figures(monkeypatch, runs)
    assert '<span class="hidden">Over the first </span>to<' in text
    assert '<td class="hash">5ea4</td>' in text
    assert text.index("How it was made</h2>") < text.index('id="table-deblurrers"')


def test_figures_send_their_reader_to_numbers_that_are_there(report: str) -> None:
    figures = [image["alt"] for image in Page(report).of("img") if image["alt"]]
    elsewhere = [alt for alt in figures if "tables below" not in alt]
    assert len(elsewhere) == 2 < len(figures)
    assert not any("?." in alt for alt in figures)
    assert all(alt.startswith("Precision over recall") and "curves.json, not on" in alt for alt in elsewhere)


def test_no_look_is_lost_on_dark_paper() -> None:
    def luminance(colour: str) -> float:
        parts = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(colour)]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for look in (SHARP_LOOK, BLURRED_LOOK, CONTROL_LOOK, *map(deblurrer_look, range(6))):
        shown = LIGHT.of(look)
        for neutral in fields(Palette):
            if shown == getattr(LIGHT, neutral.name):
                shown = getattr(DARK, neutral.name)
        assert (luminance(shown) + 0.05) / (luminance(DARK.paper) + 0.05) >= 3, look
    names = [field.name for field in fields(Palette)]
    assert len({getattr(LIGHT, name) for name in names}) == len(names)  # else one would take the other's place


def test_figures_follow_the_page_into_the_dark(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "run", blurs=(8,), deblurrer=CONTROL)
    with styled() as palette:
        plot = next(entry for entry in charts(Drawing(Runs([tmp_path / "run"]), palette, framed=False)))
        assert isinstance(plot, Plot)
        figure = base64.b64decode(building._svg_uri(plot).partition(",")[2]).decode()
    assert "var(--control)" in figure
    assert figure.lower().count(LIGHT.control.lower()) == 1  # where it is defined


def test_print_unfolds_what_is_folded_up(report: str) -> None:
    node = shutil.which("node")
    if not node:
        pytest.skip("Node is not installed: the page's script was not run")
    assert "<details>" in report
    script = """
const calls = {}, closed = [{open: false}, {open: false}], found = {"details:not([open])": closed};
globalThis.addEventListener = (name, call) => { calls[name] = call; };
globalThis.document = { querySelectorAll: (what) => found[what] ?? [], getElementById: () => null };
const seen = () => closed.map((details) => details.open);
"""
    own = resources.files("experiments.reporting").joinpath("page.js").read_text(encoding="utf-8")
    ends = "calls.beforeprint(); const open = seen(); calls.afterprint(); console.log(JSON.stringify([open, seen()]));"
    done = subprocess.run(
        [node, "--input-type=commonjs"], input=script + own + ends, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == [[True, True], [False, False]]


def test_tables_sort_by_numbers_and_have_dashes_for_what_is_missing(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "run", blurs=(8,))
    found = {table.name: table for table in tables(Runs([tmp_path / "run"]))}
    assert set(found) == {"gains", "arms", "classes", "consistency"}
    for table in found.values():
        assert all(len(row) == len(table.columns) for row in table.rows)
    (gains,) = found["gains"].rows
    assert [cell.text for cell in gains[3:6]] == ["50 %", "25 %", "75 %"]
    assert [cell.number for cell in gains[3:6]] == [0.5, 0.25, 0.75]
    assert [cell.text for cell in gains[12:]] == ["\N{EN DASH}"] * 12  # of fused boxes or several deblurrers alone
    exact = next(place for place, column in enumerate(found["arms"].columns) if column.name == "Exact")
    assert {row[exact].number for row in found["arms"].rows} == {0.0}
    small = next(place for place, column in enumerate(found["arms"].columns) if column.name == "AP small")
    assert {(row[small].text, row[small].number) for row in found["arms"].rows} == {("\N{EN DASH}", None)}
    assert len(found["arms"].rows) == 4


def test_classes_without_objects_are_left_out(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    classes = {"person": {"ap": 0.3, "n_truths": 1}, "horse": {"ap": None, "n_truths": 0}}
    arms = {arm: replace(score, per_class=classes) for arm, score in result.arms.items()}
    write_metrics(tmp_path / "run", replace(run, results=[replace(result, arms=arms)]))
    found = {table.name: table for table in tables(Runs([tmp_path / "run"]))}
    assert [row[2].text for row in found["classes"].rows] == ["person"]


def test_every_score_stands_below_its_own_heading(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    sizes = {"ap_small": 0.13, "ap_medium": 0.14, "ap_large": 0.15}
    score = replace(result.arms["blurred"], ap=0.3, ap50=0.11, ap75=0.12, **sizes, ar=0.16, ap_low=0.27, ap_high=0.34)
    agreement = replace(result.consistency["blurred"], consistency=0.41, consistency50=0.62, n_references=5)
    changed = replace(
        result,
        arms=result.arms | {"blurred": score},
        consistency=result.consistency | {"blurred": agreement},
        ap_difference={"net": Interval(0.1, 0.05, 0.17, 0.95, 1000, 0)},
        harm={"net": Interval(0.02, -0.01, 0.03, 0.95, 1000, 0)},
    )
    write_metrics(tmp_path / "run", replace(run, results=[changed]))
    found = {table.name: table for table in tables(Runs([tmp_path / "run"]))}

    def row(name: str, **where: str) -> dict[str, str]:
        table = found[name]
        headings = [f"{column.of} {column.name}".strip() for column in table.columns]
        rows = [dict(zip(headings, (cell.text for cell in cells), strict=True)) for cells in table.rows]
        return next(each for each in rows if where.items() <= each.items())

    assert {
        "AP": "30.0", "AP50": "11.0", "AP75": "12.0", "AP small": "13.0", "AP medium": "14.0", "AP large": "15.0",
        "AR": "16.0", "AP from": "27.0", "AP to": "34.0", "PSNR": "25.00", "SSIM": "0.9000", "Boxes": "9",
    }.items() <= row("arms", Pictures="blurred").items()  # fmt: skip
    agreed = {"Consistency": "41.0", "at IoU .50": "62.0", "Boxes": "5"}
    assert agreed.items() <= row("consistency", Pictures="blurred").items()
    gained = {"AP change": "+10.0", "AP change from": "+5.0", "AP change to": "+17.0"}
    lost = {"Harm": "+2.0", "Harm from": f"{MINUS}1.0", "Harm to": "+3.0"}
    assert (gained | lost).items() <= row("gains", Deblurrer="net").items()


SELF_TEST = """
const out = {}, byId = (id) => document.getElementById(id), fire = (id, value, kind) => {
  const element = byId(id); element.value = value; element.dispatchEvent(new Event(kind, {bubbles: true}));
};
const column = (place) => [...byId("table-arms").tBodies[0].rows].map((row) => row.cells[place].textContent);
const heading = byId("table-arms").tHead.rows[0].cells[3];
heading.querySelector("button").click(); out.up = column(3); out.sort = heading.getAttribute("aria-sort");
heading.querySelector("button").click(); out.down = column(3);
out.shown = byId("thumbs").children.length; out.count = byId("count").textContent;
out.tags = [byId("left-tag").textContent, byId("right-tag").textContent];
const boxes = () => document.querySelectorAll("#right-layer .box:not(.truth)").length;
out.names = [...document.querySelectorAll("#right-layer text")].map((text) => text.textContent);
out.boxes = boxes(); out.hits = document.querySelectorAll("#right-layer .box.hit").length;
fire("confidence", "0.5", "input"); out.confident = boxes();
byId("show-boxes").click(); out.off = boxes(); byId("show-boxes").click();
out.truth = document.querySelectorAll(".box.truth").length; byId("show-truth").click();
out.no_truth = document.querySelectorAll(".box.truth").length;
fire("split", "20", "input"); out.split = byId("stage").style.getPropertyValue("--split");
fire("filter-effect", "2", "change"); out.filtered = byId("thumbs").children.length;
out.title = byId("picture-title").textContent;
byId("next").click(); out.next = byId("picture-title").textContent;
const folded = () => document.querySelectorAll("details:not([open])").length, before = folded();
dispatchEvent(new Event("beforeprint")); out.printed = folded();
dispatchEvent(new Event("afterprint")); out.again = folded() === before && before > 0;
out.wide = document.documentElement.scrollWidth <= window.innerWidth;
const operated = [...document.querySelectorAll("input, select")];
out.nameless = operated.filter((each) => !each.labels.length).map((each) => each.id);
out.alerts = window.alerted === true;
document.documentElement.setAttribute("data-result", JSON.stringify(out));
"""


def test_what_is_operated_has_a_name_for_a_screen_reader(report: str) -> None:
    labels = re.findall(r"<label([^>]*)>(.*?)</label>", report, flags=re.DOTALL)
    assert len(labels) > 8
    for attributes, content in labels:  # an output may be labelled too: the first of several takes the label
        labelled = re.findall(r"<(?:button|input|meter|output|progress|select|textarea)\b", content)
        own = re.search(r'for="([^"]+)"', attributes)
        assert len(labelled) == 1 or (own is not None and f'<input type="range" id="{own[1]}"' in content)


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        path = shutil.which(name)
        if path:
            return path
    pytest.skip("Chromium is not installed: the page was not tried in a browser")


@pytest.mark.parametrize("width", [1280, 500])
def test_the_page_works_in_chromium(tmp_path: Path, report: str, width: int) -> None:
    browser = _chromium()
    copy = tmp_path / "copy.html"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", report)
    text = text.replace("<body>", "<body><script>window.alert = () => { window.alerted = true; };</script>", 1)
    copy.write_text(text.replace("</body>", f"<script>{SELF_TEST}</script></body>"), encoding="utf-8")
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
        " --disable-component-update --disable-sync --disable-dev-shm-usage"
    )
    command = [browser, *flags.split(), f"--window-size={width},900", f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*command, "--dump-dom", copy.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'data-result="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    result = json.loads(html.unescape(found[1]))
    numbers = [float(text) for text in result["up"]]
    assert numbers == sorted(numbers)
    assert result["down"] == [f"{number:.1f}" for number in sorted(numbers, reverse=True)]
    assert result["sort"] == "ascending"
    assert (result["shown"], result["count"]) == (4, "4 of 4 examples, on 2 pictures")
    assert result["tags"] == ["blurred: 0 of 0 boxes fit", f"restored by net {EVIL}: 1 of 2 boxes fit"]
    assert result["names"] == [f"{EVIL} 0.40", "person 0.90"]
    assert (result["boxes"], result["hits"], result["confident"], result["off"]) == (2, 1, 1, 0)
    assert (result["truth"], result["no_truth"]) == (2, 0)
    assert result["split"] == "20%"
    assert result["filtered"] == 2
    assert result["title"].startswith("Hurt #1: two · det ·")
    assert result["next"].startswith("Hurt #1: two · other ·")
    assert (result["printed"], result["again"]) == (0, True)
    assert result["wide"]
    assert result["nameless"] == []
    assert not result["alerts"]
