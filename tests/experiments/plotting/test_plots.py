"""Figures are there in both formats, the same each time, and never empty or of runs that do not compare."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.markers import CARETLEFTBASE, CARETRIGHTBASE
from matplotlib.patches import Rectangle
from PIL import Image

from deblur.errors import DeblurError
from detection.bootstrap import Interval
from experiments import report
from experiments.gain.files import write_metrics
from experiments.gain.picture_tables import Boxes
from experiments.gain.records import (
    CONTROL,
    DeblurrerRecord,
    DetectorRecord,
    deblurred_arm,
    fused_name,
    sharp_through_arm,
)
from experiments.plots import main
from experiments.plotting.boxes import found_in, iou, scored_truth, selected
from experiments.plotting.curves import precision_recall
from experiments.plotting.figures import charts
from experiments.plotting.gains import harm, recovered, recovered_looking_twice
from experiments.plotting.runs import OpenRun, Runs, run_names
from experiments.plotting.scores import ap_by_arm, ap_by_size, per_class
from experiments.plotting.sheet import FORMATS, Drawing, Plot, Skipped, _legend_columns, text_width, wrapped
from experiments.plotting.strips import _CROP_SIDE, _TITLE_SIZE, _label_places, _title, strips
from experiments.plotting.style import BLURRED_LOOK, CONTROL_LOOK, INK, SHARP_LOOK, deblurrer_look, styled
from experiments.plotting.tradeoffs import cost_recovered, psnr_recovered
from experiments.reporting.browser import PictureBook
from experiments.reporting.tables import tables
from tests.threads import entered_by_two

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from experiments.gain.records import GainRun

    MakeRun = Callable[..., GainRun]

NAMES = {
    "ap_by_arm",
    "recovered",
    "harm",
    "ap_by_size",
    "per_class",
    "precision_recall",
    "precision_recall_iou50",
    "psnr_recovered",
    "cost_recovered",
    "strips_shake-8",
    "strips_shake-16",
}


@pytest.fixture
def coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """PNGs have few dots: to draw all of them takes long, and no test looks at one."""
    monkeypatch.setattr("experiments.plotting.sheet._DPI", 50)


def _words(plot: Plot) -> str:
    """Everything written in a figure."""
    return " ".join(text.get_text() for text in plot.figure.findobj(mpl.text.Text))


@pytest.mark.usefixtures("coarse")
def test_every_figure_is_a_png_and_a_pdf_with_embedded_fonts(
    tmp_path: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run")
    before = dict(mpl.rcParams)
    assert main([str(tmp_path / "run"), "--json"]) == 0
    assert dict(mpl.rcParams) == before
    document = json.loads(capsys.readouterr().out)
    reason = "no detector made two passes: it needs --fuse"
    assert document["skipped"] == [{"figure": "recovered_looking_twice", "reason": reason}]
    assert document["from_before"] == []
    folder = tmp_path / "run" / "plots"
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{suffix}" for name in NAMES for suffix in ("png", "pdf")
    }
    assert sorted(document["written"]) == sorted(str(path) for path in folder.iterdir())
    for name in NAMES:
        with Image.open(folder / f"{name}.png") as image:
            assert len(image.convert("L").getcolors(256) or []) > 20, name
        content = (folder / f"{name}.pdf").read_bytes()
        assert b"/FontFile2" in content
        assert b"/Type3" not in content
        assert b"CreationDate" not in content
    kept = (folder / "recovered.png").read_bytes()
    assert main([str(tmp_path / "run")]) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert (folder / "recovered.png").read_bytes() == kept


def test_the_same_files_give_the_same_bytes(tmp_path: Path, make_run: MakeRun) -> None:
    from experiments.plotting.sheet import rendered

    make_run(tmp_path / "run", blurs=(8,))
    contents = []
    for _ in range(2):
        with styled() as palette:
            (plot,) = recovered(Drawing(Runs([tmp_path / "run"]), palette))
            assert isinstance(plot, Plot)
            contents.append([rendered(plot.figure, suffix, plot.title) for suffix in ("png", "pdf", "svg")])
    assert contents[0] == contents[1]


@pytest.mark.usefixtures("coarse")
def test_what_a_run_lacks_is_skipped_with_a_reason(
    tmp_path: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = Interval(None, None, None, 0.95, 0, 0)
    make_run(tmp_path / "run", blurs=(8,), recovered=nothing, has_sharp=False, cost=None)
    for name in ("curves.json", "predictions.json"):
        (tmp_path / "run" / name).unlink()
    assert main([str(tmp_path / "run"), "--output", str(tmp_path / "out")]) == 0
    lines = capsys.readouterr().out.splitlines()
    skipped = {line.split()[1].rstrip(":") for line in lines if line.startswith("skipped ")}
    assert skipped == {
        "recovered", "recovered_looking_twice", "precision_recall", "precision_recall_iou50", "psnr_recovered",
        "cost_recovered", "strips",
    }  # fmt: skip
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {"ap_by_arm", "harm", "ap_by_size", "per_class"}


def test_what_finds_nothing_is_drawn_at_0_on_axes_of_ap(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    nothing = {"ap": 0.0, "ap_small": 0.0, "ap_medium": None, "ap_large": 0.0, "ap_low": 0.0, "ap_high": 0.0}
    of_classes = {"person": {"ap": 0.0, "n_truths": 3}}
    arms = {name: replace(score, **nothing, per_class=of_classes) for name, score in result.arms.items()}
    harmless = {name: Interval(0.0, 0.0, 0.0, 0.95, 1000, 0) for name in result.harm}
    write_metrics(tmp_path / "run", replace(run, results=[replace(result, arms=arms, harm=harmless)]))
    with styled() as palette:
        drawing = Drawing(Runs([tmp_path / "run"]), palette)
        by_arm, by_size, by_class, lost = (
            next(plot.figure for plot in make(drawing) if isinstance(plot, Plot)).axes[0]
            for make in (ap_by_arm, ap_by_size, per_class, harm)
        )
        for figure in (by_arm, by_size, by_class, lost):
            figure.figure.canvas.draw()
        assert by_arm.get_ylim() == by_size.get_ylim() == (0, 1)
        assert by_class.get_xlim() == (-0.03, 1)
        assert lost.get_xlim() == (-0.5, 0.5)
        bars = [text.xy for text in by_size.texts if text.get_text() == "0"]
        assert len(bars) == 2 * sum(series.deblurrer is None or not series.is_sharp for series in drawing.runs.series)


@pytest.mark.parametrize("chart", [ap_by_arm, ap_by_size, per_class])
def test_panels_that_share_an_axis_show_the_highest_of_all(
    tmp_path: Path, make_run: MakeRun, chart: Callable[[Drawing], Iterator[Plot | Skipped]]
) -> None:
    run = make_run(tmp_path / "run", detectors=("low", "high"), blurs=("shake:8", "jolt:8"), ap=(0.2, 0.1, 0.15))
    of_classes = {"person": {"ap": 0.8, "n_truths": 3}}
    high = {"ap": 0.8, "ap_small": 0.8, "ap_medium": 0.8, "ap_large": 0.8, "ap_high": 0.85, "per_class": of_classes}
    *others, last = run.results
    lifted = replace(last, arms={name: replace(score, **high) for name, score in last.arms.items()})
    write_metrics(tmp_path / "run", replace(run, results=[*others, lifted]))
    with styled() as palette:
        drawing = Drawing(Runs([tmp_path / "run"]), palette)
        panels = [ax for plot in chart(drawing) if isinstance(plot, Plot) for ax in plot.figure.axes if ax.has_data()]
        tops = [ax.get_xlim()[1] if chart is per_class else ax.get_ylim()[1] for ax in panels]
    assert len(panels) >= 2
    assert tops[-1] == tops[-2] > 80


@pytest.mark.usefixtures("coarse")
def test_strips_and_browser_need_the_pictures_that_they_show_alone(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    unseen = {sharp_through_arm("net"): "pictures/nowhere.jpg"}
    examples = [replace(example, pictures=example.pictures | unseen) for example in result.examples]
    assert examples
    write_metrics(tmp_path / "run", replace(run, results=[replace(result, examples=examples)]))

    def shown() -> tuple[int, int]:
        runs = Runs([tmp_path / "run"])
        with styled() as palette:
            drawn = [plot for plot in strips(Drawing(runs, palette)) if isinstance(plot, Plot)]
        return len(drawn), len(PictureBook(runs, 100))

    assert shown() == (1, len(examples))
    for example in examples:
        (tmp_path / "run" / example.pictures[deblurred_arm(example.deblurrer)]).unlink(missing_ok=True)
    assert shown() == (0, 0)


@pytest.mark.usefixtures("coarse")
def test_who_reads_no_further_gets_every_figure(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run", blurs=(8,))
    reader, writer = os.pipe()
    os.close(reader)

    def two(drawing: Drawing) -> Iterator[Plot | Skipped]:
        yield from harm(drawing)
        yield from ap_by_size(drawing)

    monkeypatch.setattr("experiments.plotting.figures.figures", two)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main([str(tmp_path / "run")]) == 1
    assert capsys.readouterr().err == "error: not all could be written: Broken pipe\n"
    assert {path.stem for path in (tmp_path / "run" / "plots").iterdir()} == {"harm", "ap_by_size"}


def test_figures_of_other_runs_that_are_left_are_named(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("experiments.plotting.figures.figures", recovered)  # one of them is enough
    make_run(tmp_path / "run", blurs=(8,))
    output = tmp_path / "figures"
    output.mkdir()
    for name in ("recovered.png", "recovered_looking_twice.png"):
        (output / name).write_text("of another run")
    assert main([str(tmp_path / "run"), "--output", str(output), "--overwrite"]) == 0
    left = output / "recovered_looking_twice.png"
    assert capsys.readouterr().out.splitlines()[-1] == f"from before, not of these runs: {left}"
    assert left.read_text() == "of another run"


def test_names_that_files_do_not_keep_apart_overwrite_no_figure(
    tmp_path: Path, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("experiments.plotting.figures.figures", per_class)
    make_run(tmp_path / "run", blurs=(8,), detectors=("robot v2", "robot-v2", "Robot-v2"))
    assert main([str(tmp_path / "run"), "--json"]) == 0
    names = [f"per_class_{name}.{suffix}" for name in ("robot-v2", "robot-v2-2", "Robot-v2-3") for suffix in FORMATS]
    assert json.loads(capsys.readouterr().out)["written"] == [str(tmp_path / "run" / "plots" / name) for name in names]
    assert {path.name for path in (tmp_path / "run" / "plots").iterdir()} == set(names)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"confidence": 0.25}, "protocol.detection.confidence"),
        ({"data": "ee"}, "data.sha256"),
        ({"weights": "ee"}, "the detector det has other weights"),
    ],
)
def test_runs_that_do_not_compare_are_refused_in_one_line(
    tmp_path: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str], options: dict[str, object], reason: str
) -> None:
    make_run(tmp_path / "a")
    make_run(tmp_path / "b", **options)
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count("\n") == 1
    assert str(tmp_path / "b") in error
    assert not (tmp_path / "out").exists()


def test_several_runs_are_told_apart_by_name_and_look(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "a", blurs=(8,))
    make_run(tmp_path / "b", blurs=(8,))
    runs = Runs([tmp_path / "a", tmp_path / "b"])
    assert [series.label for series in runs.series] == [
        "sharp", "blurred", "net (a)", "sharp through net (a)", "net (b)", "sharp through net (b)",
    ]  # fmt: skip
    assert runs.deblurred[0].look.colour != runs.deblurred[1].look.colour
    assert runs.deblurred[0].look.marker != runs.deblurred[1].look.marker
    with styled() as palette:
        (plot,) = recovered(Drawing(runs, palette))
        assert isinstance(plot, Plot)
        assert {"net (a)", "net (b)"} <= {text.get_text() for text in plot.figure.findobj(mpl.text.Text)}


def test_names_of_one_run_alone_stand_without_the_run_s(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "a", blurs=(8,))
    make_run(tmp_path / "b", blurs=(8,), deblurrer="other")
    runs = Runs([tmp_path / "a", tmp_path / "b"])
    assert [series.label for series in runs.deblurred] == ["net", "other"]
    assert runs.protocol_line.endswith(" · runs a, b")
    assert "runs" not in Runs([tmp_path / "a"]).protocol_line
    assert "classes all" in runs.protocol_line


def test_names_that_are_no_utf8_are_drawn(tmp_path: Path, make_run: MakeRun, garbled_name: str) -> None:
    folders = [tmp_path / name for name in (garbled_name, "other")]
    for folder in folders:
        run = make_run(folder, blurs=(8,))
        (result,), (blur,) = run.results, run.blurs
        named = {"results": [replace(result, blur=garbled_name)], "data": run.data | {"blur": garbled_name}}
        blurs = [replace(blur, name=garbled_name, kind="folder", length=None)]
        write_metrics(folder, replace(run, blurs=blurs, **named))
    with styled() as palette:
        (plot,) = recovered(Drawing(Runs(folders), palette))
        assert isinstance(plot, Plot)
        plot.figure.draw_without_rendering()
        words = _words(plot).replace("\n", "")
    for name in (r"net (caf\udce9)", r"blur caf\udce9", r"runs caf\udce9, other"):
        assert name in words
    assert words.count(r"caf\udce9") > 3  # the label of its rows


@pytest.mark.parametrize(
    ("ap", "fused_of", "labels"),
    [
        (0.3, "same", [CONTROL, f"sharp through {CONTROL}"]),
        (0.3 + 1e-7, "same", [CONTROL, f"sharp through {CONTROL}"]),  # another machine's rounding
        (0.31, "same", [f"{way}{CONTROL} ({run})" for run in "ab" for way in ("", "sharp through ")]),
        (0.3, "other", [f"{way}{CONTROL} ({run})" for run in "ab" for way in ("", "sharp through ")]),
    ],
)
def test_the_control_is_drawn_once_where_the_runs_agree_on_it(
    tmp_path: Path, make_run: MakeRun, ap: float, fused_of: str, labels: list[str]
) -> None:
    make_run(tmp_path / "a", blurs=(8,), deblurrer=CONTROL)
    second = make_run(tmp_path / "b", blurs=(8,), deblurrer=CONTROL, ap=(0.4, 0.2, ap))
    if fused_of == "other":
        write_metrics(tmp_path / "b", replace(second, deblurrers=[replace(second.deblurrers[0], sha256="dd")]))
    make_run(tmp_path / "c", blurs=(8,))  # a run without a control, between them
    runs = Runs([tmp_path / "a", tmp_path / "c", tmp_path / "b"])
    assert [series.label for series in runs.series if series.deblurrer == CONTROL] == labels
    assert all(series.recovered("det", "shake:8") for series in runs.deblurred)
    assert len({(series.look.marker, series.look.hollow) for series in runs.series}) == len(runs.series)


def test_runs_whose_blurred_arms_differ_each_show_theirs(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "a", blurs=(8,))
    make_run(tmp_path / "b", blurs=(8,), ap=(0.4, 0.21, 0.3))
    make_run(tmp_path / "c", blurs=(8,), ap=(0.41, 0.22, 0.3))
    series = Runs([tmp_path / "a", tmp_path / "b", tmp_path / "c"]).series[:6]
    assert [one.label for one in series] == [f"{arm} ({run})" for arm in ("sharp", "blurred") for run in "abc"]
    for tells in ("marker", "line"):
        assert len({getattr(one.look, tells) for one in series}) == 6, tells
    for arm in ("sharp", "blurred"):
        assert len({one.look.hatch for one in series if one.arm == arm}) == 3
    assert [one.look for one in series[::3]] == [SHARP_LOOK, BLURRED_LOOK]


def test_every_run_is_held_against_every_other(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "a", blurs=(8,))
    second = make_run(tmp_path / "b", blurs=(8,))
    write_metrics(tmp_path / "b", replace(second, detectors=[*second.detectors, DetectorRecord("more", "one")]))
    write_metrics(tmp_path / "a", replace(second, detectors=[DetectorRecord("more", "other")], results=[]))
    make_run(tmp_path / "c", blurs=(8,))  # knows nothing of the detector in which the others differ
    with pytest.raises(DeblurError, match="the detector more has other weights in each"):
        Runs([tmp_path / "c", tmp_path / "a", tmp_path / "b"])


def test_several_runs_need_an_output(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["a", "b"])
    assert caught.value.code == 2
    assert "--output" in capsys.readouterr().err


@pytest.mark.parametrize("command", [main, report.main])
def test_where_nothing_can_be_written_nothing_is_drawn(
    tmp_path: Path,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: Callable[[list[str]], int],
) -> None:
    monkeypatch.setattr(Drawing, "sheet", lambda *_: pytest.fail("it draws already"))
    make_run(tmp_path / "run", blurs=(8,))
    file = tmp_path / "run" / "env.json"
    assert command([str(tmp_path / "run"), "--output", str(file / "made")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: cannot make the folder {file}")
    assert line.endswith("; choose another --output")


def test_a_folder_without_a_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path), "--output", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert "does not exist" in error
    assert error.count("\n") == 1


def test_captions_and_protocol_stand_in_the_picture_and_names_are_no_formulas(
    tmp_path: Path, make_run: MakeRun
) -> None:
    make_run(tmp_path / "run", deblurrer="$\\frac{a}$", blurs=(8,), limit=2)
    with styled() as palette:
        for framed in (True, False):
            for plot in charts(Drawing(Runs([tmp_path / "run"]), palette, framed=framed)):
                if isinstance(plot, Skipped):
                    continue
                assert "n = 2 pictures, 2 objects (cut by --limit 2: a trial)" in plot.caption
                words = _words(plot).replace("\n", " ")
                assert ("confidence 0.001" in words) == framed
                assert ("n = 2 pictures" in words) == framed
                if framed:
                    assert "$\\frac{a}$" in words


@pytest.mark.parametrize(
    ("interval", "text", "is_hollow"),
    [
        (Interval(0.5, 0.25, 0.75, 0.95, 1000, 0), "50 % [25, 75]", False),
        (Interval(0.1, -0.2, 0.3, 0.95, 1000, 0), "10 % [−20, 30]", True),  # noqa: RUF001
        (Interval(0.5, None, None, 0.95, 0, 0), "50 % (no interval)", True),
        (Interval(-9.0, -20.0, 30.0, 0.95, 1000, 0), "−900 % [−2000, 3000]", True),  # noqa: RUF001
        (Interval(-0.2, -0.408, -0.002, 0.95, 1000, 0), "−20 % [−41, −0.2]", False),  # noqa: RUF001
        (Interval(0.004, 0.0004, 0.6, 0.95, 1000, 0), "0.4 % [0.04, 60]", False),
        (Interval(0.0, -0.1, 0.1, 0.95, 1000, 0), "0 % [−10, 10]", True),  # noqa: RUF001
    ],
)
def test_a_fraction_is_written_beside_its_mark(
    tmp_path: Path, make_run: MakeRun, interval: Interval, text: str, is_hollow: bool
) -> None:
    make_run(tmp_path / "run", blurs=(8,), recovered=interval)
    with styled() as palette:
        (plot,) = recovered(Drawing(Runs([tmp_path / "run"]), palette))
        assert isinstance(plot, Plot)
        assert text in _words(plot)
        (ax,) = [ax for part in plot.figure.subfigs for ax in part.axes]
        (mark,) = [line for line in ax.lines if line.get_marker() == "o"]
        assert (mark.get_markerfacecolor() == palette.paper) == is_hollow
        assert CONTROL not in plot.caption
        low, high = ax.get_xlim()
        assert -130 < low < 0 < 100 < high < 230


def test_what_no_run_measured_is_not_called_undefined(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "a", detectors=("both", "one"), blurs=(8,))
    undefined = replace(run.results[0], recovered={"net": Interval(None, None, None, 0.95, 1000, 0)})
    write_metrics(tmp_path / "a", replace(run, results=[undefined, run.results[1]]))
    make_run(tmp_path / "b", detectors=("both",), blurs=(8,), deblurrer="other")
    for figure, defined in ((recovered, "50 % [25, 75]"), (harm, "1.0 [−1.0, 2.0]")):  # noqa: RUF001
        with styled() as palette:
            (plot,) = figure(Drawing(Runs([tmp_path / "a", tmp_path / "b"]), palette))
            assert isinstance(plot, Plot)
            both, one = ([text.get_text() for text in ax.texts] for part in plot.figure.subfigs for ax in part.axes)
            assert both == ["not defined" if figure is recovered else defined, defined]
            assert one == [defined, "not measured"]


def test_an_interval_is_never_cut_by_the_axes(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "run", recovered=Interval(0.5, -0.6, 1.4, 0.95, 1000, 0))
    with styled() as palette:
        drawing = Drawing(Runs([tmp_path / "run"]), palette)
        for plot in (next(chart(drawing)) for chart in (recovered, psnr_recovered, cost_recovered)):
            assert isinstance(plot, Plot)
            for ax in (ax for part in plot.figure.subfigs for ax in part.axes):
                low, high = ax.get_xlim() if plot.name == "recovered" else ax.get_ylim()
                assert low < -60 < 140 < high, plot.name


@pytest.mark.parametrize(
    ("interval", "heads"),
    [
        (Interval(0.9, 0.19, 2.82, 0.95, 1000, 0), {CARETRIGHTBASE: 200}),
        (Interval(-0.3, -1.36, 0.58, 0.95, 1000, 0), {CARETLEFTBASE: -100}),
        (Interval(-9.0, -20.0, 30.0, 0.95, 1000, 0), {CARETLEFTBASE: -100, CARETRIGHTBASE: 200}),
        (Interval(-9.0, None, None, 0.95, 1000, 900), {CARETLEFTBASE: -100}),
        (Interval(2.1, None, None, 0.95, 1000, 900), {CARETRIGHTBASE: 200}),
        (Interval(0.5, -1.0, 2.0, 0.95, 1000, 0), {}),
    ],
)
def test_a_cut_interval_ends_in_an_arrowhead(
    tmp_path: Path, make_run: MakeRun, interval: Interval, heads: dict[int, float]
) -> None:
    make_run(tmp_path / "run", blurs=(8,), recovered=interval)
    with styled() as palette:
        (plot,) = recovered(Drawing(Runs([tmp_path / "run"]), palette))
        assert isinstance(plot, Plot)
        (ax,) = [ax for part in plot.figure.subfigs for ax in part.axes]
        marks = {line.get_marker(): line.get_xdata()[0] for line in ax.lines}
        assert {mark: x for mark, x in marks.items() if mark in {CARETLEFTBASE, CARETRIGHTBASE}} == heads
        assert sum(line.get_marker() == "|" for line in ax.lines) == 2 - len(heads)  # caps where it does end
        assert ("An arrowhead: the fraction or its interval goes on beyond." in plot.caption) == bool(heads)


@pytest.mark.parametrize("chart", [psnr_recovered, cost_recovered])
def test_what_lies_far_beyond_does_not_flatten_the_rest(
    tmp_path: Path, make_run: MakeRun, chart: Callable[[Drawing], Iterator[Plot | Skipped]]
) -> None:
    for value, is_beyond in ((-9.0, True), (0.5, False)):
        make_run(tmp_path / f"{value}", blurs=(8,), recovered=Interval(value, None, None, 0.95, 1000, 900))
        with styled() as palette:
            (plot,) = chart(Drawing(Runs([tmp_path / f"{value}"]), palette))
            assert isinstance(plot, Plot)
            assert ("What lies beyond −100 or 200 % is drawn there." in plot.caption) is is_beyond  # noqa: RUF001
            (ax, *_) = [ax for part in plot.figure.subfigs for ax in part.axes]
            assert ax.get_ylim()[0] > -150


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("framed", [True, False])
def test_panels_keep_their_height_below_a_high_legend(
    tmp_path: Path, make_run: MakeRun, count: int, framed: bool
) -> None:
    folders = [tmp_path / f"run{number}" for number in range(count)]
    for number, folder in enumerate(folders):
        make_run(folder, detectors=("one", "two"), deblurrer=f"a network of a long name, the one of number {number}")
    drawn = (ap_by_arm, ap_by_size, precision_recall, psnr_recovered, cost_recovered)
    with styled() as palette:
        drawing = Drawing(Runs(folders), palette, framed=framed)
        for plot in (next(chart(drawing)) for chart in drawn):
            assert isinstance(plot, Plot)
            plot.figure.draw_without_rendering()
            (body,) = [part for part in plot.figure.subfigs if part.axes]
            (legend,) = body.legends
            below = legend.get_window_extent().y0
            for ax in body.axes:
                inches = ax.get_window_extent().height / plot.figure.dpi
                assert inches > 1.3, plot.name
                assert ax.yaxis.label.get_window_extent().y1 <= below, plot.name
            assert body.get_supylabel() == ""


@pytest.mark.parametrize("chart", [ap_by_arm, ap_by_size, recovered, precision_recall])
def test_a_sheet_is_as_wide_as_its_legend(
    tmp_path: Path, make_run: MakeRun, chart: Callable[[Drawing], Iterator[Plot | Skipped]]
) -> None:
    make_run(tmp_path / "short", blurs=(8,))
    make_run(tmp_path / "long", blurs=(8,), deblurrer=f"net-{'of-many-words-' * 8}")
    widths = []
    for name in ("short", "long"):
        with styled() as palette:
            plot = next(chart(Drawing(Runs([tmp_path / name]), palette)))
            assert isinstance(plot, Plot)
            plot.figure.draw_without_rendering()
            (legend,) = [legend for part in plot.figure.subfigs for legend in part.legends]
            assert legend.get_window_extent().x1 <= plot.figure.bbox.x1
        widths.append(plot.figure.get_figwidth())
    assert widths[0] < 7 < widths[1]


def test_names_of_blurs_lie_below_all_that_is_drawn(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "run", blurs=(8, 16, 28), recovered=Interval(0.5, -0.6, 0.75, 0.95, 1000, 0))
    with styled() as palette:
        (plot,) = psnr_recovered(Drawing(Runs([tmp_path / "run"]), palette))
        assert isinstance(plot, Plot)
        plot.figure.draw_without_rendering()
        (ax,) = [ax for part in plot.figure.subfigs for ax in part.axes]
        boxes = [text.get_window_extent() for text in ax.texts]
        assert {text.get_text() for text in ax.texts} == {"8 px", "16 px", "28 px"}
        lowest = ax.transData.transform((0, -60))[1]
        frame = ax.get_window_extent()
        for number, box in enumerate(boxes):
            assert frame.y0 <= box.y0 < box.y1 < lowest
            # All three blurs have the same PSNR here: one stands above the other.
            assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_boxes_of_the_same_pictures_stand_at_their_psnr_and_are_told_apart(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    fused = fused_name("net")
    arms = result.arms | {deblurred_arm(fused): result.arms[deblurred_arm("net")]}
    both = replace(result, arms=arms, recovered=result.recovered | {fused: result.recovered["net"]})
    deblurrers = [*run.deblurrers, replace(run.deblurrers[0], name=fused, kind="fused")]
    for written, hollow in ((run, [False]), (replace(run, results=[both], deblurrers=deblurrers), [False, True])):
        write_metrics(tmp_path / "run", written)
        with styled() as palette:
            (plot,) = psnr_recovered(Drawing(Runs([tmp_path / "run"]), palette))
            assert isinstance(plot, Plot)
            (ax,) = [ax for part in plot.figure.subfigs for ax in part.axes]
            ends = sorted(line.get_xdata()[-1] for line in ax.lines if list(line.get_ydata()) == [0, 50])
            marks = [line for line in ax.lines if line.get_marker() in {"o", "s"}]
        assert ends == [28.0] * len(hollow)
        assert [line.get_markerfacecolor() == "none" for line in marks] == hollow, "one pass, above two"
        widths = [width for bars in ax.collections for width in bars.get_linewidth()]
        assert (len(set(widths)), "Hollow" in plot.caption) == (len(hollow), len(hollow) > 1)


def test_what_fused_boxes_recover_looking_twice_has_a_figure_of_its_own(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    names = ("net", fused_name("net"), CONTROL)
    arms = result.arms | {deblurred_arm(name): result.arms[deblurred_arm("net")] for name in names}
    once = {name: replace(result.recovered["net"], value=0.5) for name in names}
    twice = {fused_name("net"): Interval(0.3, 0.2, 0.4, 0.95, 1000, 0)}
    both = replace(result, arms=arms, recovered=once, recovered_looking_twice=twice)
    deblurrers = [replace(run.deblurrers[0], name=name, kind="fused" if "+" in name else "network") for name in names]
    write_metrics(tmp_path / "run", replace(run, results=[both], deblurrers=deblurrers))
    with styled() as palette:
        drawing = Drawing(Runs([tmp_path / "run"]), palette)
        (of_one,) = recovered(drawing)
        (of_two,) = recovered_looking_twice(drawing)
    net, net_in_two, control = (series.look for series in drawing.runs.deblurred)
    assert net.colour == net_in_two.colour  # of one network
    assert net.marker != net_in_two.marker
    assert control == CONTROL_LOOK
    assert isinstance(of_one, Plot)
    assert isinstance(of_two, Plot)
    assert (of_one.name, of_two.name) == ("recovered", "recovered_looking_twice")
    undefined = replace(both, recovered_looking_twice={})
    write_metrics(tmp_path / "run", replace(run, results=[undefined], deblurrers=deblurrers))
    with styled() as palette:
        (skipped,) = recovered_looking_twice(Drawing(Runs([tmp_path / "run"]), palette))
    assert (skipped.name, "experiments.rescore" in skipped.reason) == ("recovered_looking_twice", True)
    assert _words(of_one).count("50 % [25, 75]") == 3
    assert _words(of_two).count("30 % [20, 40]") == 1
    assert "50 %" not in _words(of_two)
    assert "each of two passes" in of_two.caption


@pytest.mark.parametrize(
    ("beyond", "is_filled"),
    [
        (Interval(0.05, 0.01, 0.1, 0.95, 1000, 0), True),
        (Interval(0.05, -0.01, 0.1, 0.95, 1000, 0), False),
        (Interval(-0.05, -0.1, -0.01, 0.95, 1000, 0), False),
        (None, False),
    ],
)
def test_fused_boxes_are_filled_only_where_they_lie_beyond_their_control(
    tmp_path: Path, make_run: MakeRun, beyond: Interval | None, is_filled: bool
) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    names = ("net", fused_name("net"), CONTROL)
    arms = result.arms | {deblurred_arm(name): result.arms[deblurred_arm("net")] for name in names}
    sure = dict.fromkeys(names, result.recovered["net"])
    fused = replace(result, arms=arms, recovered=sure, beyond_control={fused_name("net"): beyond} if beyond else {})
    deblurrers = [replace(run.deblurrers[0], name=name, kind="fused" if "+" in name else "network") for name in names]
    write_metrics(tmp_path / "run", replace(run, results=[fused], deblurrers=deblurrers))
    with styled() as palette:
        (plot,) = recovered(Drawing(Runs([tmp_path / "run"]), palette))
        assert isinstance(plot, Plot)
        (ax,) = [ax for part in plot.figure.subfigs for ax in part.axes]
        marks = [line for line in ax.lines if line.get_marker() in {"o", "s", CONTROL_LOOK.marker}]
        filled = [line.get_markerfacecolor() != palette.paper for line in marks]
    assert filled == [True, is_filled, False]
    # The control's is hollow for no other reason, whatever those of fused boxes are.
    hollow = " or the AP does not surely lie beyond that of mirrored+blurred, whose own mark always is."
    assert f"Hollow: the interval includes 0, or there is none;{hollow}" in plot.caption
    assert "compares two passes of the detector with one" in plot.caption


def test_harm_is_of_as_many_looks_as_it_is_compared_with(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8, 16), harm=Interval(0.004, 0.001, 0.009, 0.95, 1000, 0))
    names = ("net", fused_name("net"), CONTROL)
    once = dict.fromkeys(names, Interval(-0.02, -0.03, -0.01, 0.95, 1000, 0)) | {"net": run.results[0].harm["net"]}
    twice = {fused_name("net"): Interval(-0.0004, -0.002, 0.001, 0.95, 1000, 0)}
    results = [
        replace(
            result,
            arms=result.arms | {deblurred_arm(name): result.arms[deblurred_arm("net")] for name in names},
            harm=once,
            harm_looking_twice=twice,
        )
        for result in run.results
    ]
    deblurrers = [replace(run.deblurrers[0], name=name, kind="fused" if "+" in name else "network") for name in names]
    write_metrics(tmp_path / "run", replace(run, results=results, deblurrers=deblurrers))
    with styled() as palette:
        (plot,) = harm(Drawing(Runs([tmp_path / "run"]), palette))
        assert isinstance(plot, Plot)
        (ax,) = [ax for part in plot.figure.subfigs for ax in part.axes]
        shown = [text.get_text() for text in ax.texts]
        filled = [line.get_markerfacecolor() != palette.paper for line in ax.lines if line.get_marker() in {"o", "s"}]
    assert shown == ["0.4 [0.1, 0.9]", "−0.04 [−0.2, 0.1]"]  # noqa: RUF001
    assert filled == [True, False]
    assert CONTROL not in _words(plot)
    assert "Of NAME+mirrored both are of two passes." in plot.caption


def test_captions_name_no_bars_where_there_are_none(tmp_path: Path, make_run: MakeRun) -> None:
    bare = Interval(0.5, None, None, 0.95, 0, 0)
    run = make_run(tmp_path / "run", recovered=bare, harm=bare)
    results = [
        replace(result, arms={name: replace(arm, ap_low=None, ap_high=None) for name, arm in result.arms.items()})
        for result in run.results
    ]
    write_metrics(tmp_path / "run", replace(run, results=results))
    make_run(tmp_path / "drawn")
    for folder, drawn in (("run", False), ("drawn", True)):
        with styled() as palette:
            captions = {
                plot.name: plot.caption
                for plot in charts(Drawing(Runs([tmp_path / folder]), palette))
                if isinstance(plot, Plot)
            }
        for name in ("ap_by_arm", "recovered", "harm", "psnr_recovered", "cost_recovered"):
            assert ("Bars: 95 %" in captions[name]) is drawn, name


def test_one_class_is_shown_by_one_look_with_the_blurred_pictures_on_top(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,) = run.results
    arms = result.arms | {deblurred_arm(fused_name("net")): result.arms[deblurred_arm("net")]}
    deblurrers = [*run.deblurrers, replace(run.deblurrers[0], name=fused_name("net"), kind="fused")]
    write_metrics(tmp_path / "run", replace(run, results=[replace(result, arms=arms)], deblurrers=deblurrers))
    with styled() as palette:
        (plot,) = per_class(Drawing(Runs([tmp_path / "run"]), palette))
        assert isinstance(plot, Plot)
        (body,) = [part for part in plot.figure.subfigs if part.axes]
        assert [text.get_text() for text in body.legends[0].get_texts()] == ["sharp", "net", "blurred"]
    assert "two passes are left out" in plot.caption


def test_the_caption_says_where_psnr_is_not_of_all_pictures(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run")
    few = {arm: replace(score, n_psnr=1) for arm, score in run.results[0].arms.items()}
    for arms, words in (
        (run.results[0].arms, "over pictures."),
        (few, "over the pictures that no arm of the blur has exactly."),
    ):
        write_metrics(tmp_path / "run", replace(run, results=[replace(run.results[0], arms=arms)]))
        with styled() as palette:
            (plot,) = psnr_recovered(Drawing(Runs([tmp_path / "run"]), palette))
        assert isinstance(plot, Plot)
        assert f"PSNR is of 8-bit RGB, mean {words}" in plot.caption


def test_captions_say_where_intervals_draw_scenes_and_what_blur_a_folder_has(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run")
    bootstrap = {"unit": "scene, the same draws for every arm", "n_units": 11}
    data = run.data | {"data_set": "gopro", "blur": "gamma"}
    write_metrics(tmp_path / "run", replace(run, protocol=run.protocol | {"bootstrap": bootstrap}, data=data))
    runs = Runs([tmp_path / "run"])
    with styled() as palette:
        (plot,) = psnr_recovered(Drawing(runs, palette))
    assert isinstance(plot, Plot)
    assert "paired bootstrap intervals over 11 scenes." in plot.caption
    assert runs.counts.endswith("objects, gopro, blur gamma")


def test_detectors_that_know_different_classes_have_different_objects(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", detectors=("one", "two"), blurs=(8,))
    assert Runs([tmp_path / "run"]).counts == "n = 2 pictures, 2 objects"
    more = {arm: replace(score, n_truths=1005) for arm, score in run.results[1].arms.items()}
    results = [run.results[0], replace(run.results[1], arms=more)]
    write_metrics(tmp_path / "run", replace(run, results=results))
    assert Runs([tmp_path / "run"]).counts == "n = 2 pictures, 2 to 1,005 objects"


@pytest.mark.parametrize(
    ("blurs", "labels", "is_one_kind"),
    [
        (("shake:16", "shake:8"), ["camera shake 8 px", "camera shake 16 px"], True),
        (
            ("shake:16,readout=2.0", "shake:8,readout=2.0"),
            ["camera shake 8 px, readout=2.0", "camera shake 16 px, readout=2.0"],
            True,
        ),
        (("shake:8", "shake:16,readout=2.0"), ["camera shake 8 px", "camera shake 16 px, readout=2.0"], False),
        (
            ("shake:16", "shake:16,readout=1.0", "shake:28,roll=0.0,jpeg=30"),
            ["camera shake 16 px", "camera shake 16 px, readout=1.0", "camera shake 28 px, roll=0.0, jpeg=30"],
            False,
        ),
    ],
)
def test_a_blur_is_named_with_its_options(
    tmp_path: Path, make_run: MakeRun, blurs: tuple[str, ...], labels: list[str], is_one_kind: bool
) -> None:
    make_run(tmp_path / "run", blurs=blurs)
    runs = Runs([tmp_path / "run"])
    assert [runs.blur_label(blur) for blur in runs.blurs] == labels
    assert ("; " not in runs.blurs_line) == is_one_kind == runs.one_kind  # no line leads from one kind to another
    scores = next(table for table in tables(runs) if table.name == "arms")
    assert len({tuple(cell.text for cell in row[:3]) for row in scores.rows}) == len(scores.rows) == 2 + 2 * len(blurs)


@pytest.mark.parametrize(
    ("detectors", "blurs"),
    [
        (("det",), ("shake:16,readout=2.0",)),
        (("det", "other"), ("shake:16,readout=2.0",)),
        (("det",), ("shake:8,readout=2.0", "shake:16,readout=2.0")),
    ],
)
def test_every_chart_names_its_blurs_with_their_options(
    tmp_path: Path, make_run: MakeRun, detectors: tuple[str, ...], blurs: tuple[str, ...]
) -> None:
    make_run(tmp_path / "run", detectors=detectors, blurs=blurs)
    with styled() as palette:
        plots = list(charts(Drawing(Runs([tmp_path / "run"]), palette, framed=False)))
        assert {plot.name for plot in plots if isinstance(plot, Skipped)} == {"recovered_looking_twice"}
        for plot in plots:
            if isinstance(plot, Skipped) or plot.name == "harm":  # of sharp pictures
                continue
            words = f"{_words(plot)} {plot.caption}"
            assert "readout=2.0" in words, plot.name
            assert "16 px" in words, plot.name


def test_no_blur_has_no_length(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=("none",))
    write_metrics(tmp_path / "run", replace(run, blurs=[replace(run.blurs[0], kind="none")]))
    runs = Runs([tmp_path / "run"])
    assert runs.blur_label("none") == runs.short_label("none") == runs.blurs_line == "none"


def test_long_titles_of_panels_do_not_reach_into_the_next(tmp_path: Path, make_run: MakeRun) -> None:
    blurs = ("shake:8,readout=2.0,jpeg=30", "shake:16,readout=2.0,jpeg=30", "shake:28,readout=2.0,jpeg=30")
    make_run(tmp_path / "run", detectors=("det", "another-detector"), blurs=blurs)
    with styled() as palette:
        drawing = Drawing(Runs([tmp_path / "run"]), palette, framed=False)
        for plot in (*ap_by_arm(drawing), *ap_by_size(drawing)):
            assert isinstance(plot, Plot)
            plot.figure.draw_without_rendering()
            (body,) = plot.figure.subfigs
            for ax in body.axes:
                wide = ax.get_window_extent().width + 0.15 * plot.figure.dpi
                assert ax._left_title.get_window_extent().width < wide, plot.name
                assert ax.xaxis.label.get_window_extent().width < wide, plot.name


def test_deblurrers_of_one_cost_stand_side_by_side(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "one")
    make_run(tmp_path / "two", deblurrer="other")
    with styled() as palette:
        (plot,) = cost_recovered(Drawing(Runs([tmp_path / "one", tmp_path / "two"]), palette))
        assert isinstance(plot, Plot)
        for ax in (ax for part in plot.figure.subfigs for ax in part.axes):
            places = [x for line in ax.lines if line.get_marker() in {"o", "s"} for x in line.get_xdata()]
            assert len(places) > 1
            assert np.diff(sorted(places)).min() > 0.2
            assert len({tick.get_text() for tick in ax.get_xticklabels()}) == 1


def test_what_has_no_known_cost_is_named(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,), (net,) = run.results, run.deblurrers
    names = ("net", "untimed", "uncounted", "others")
    arms = result.arms | {deblurred_arm(name): result.arms[deblurred_arm("net")] for name in names}
    records = [
        net,
        replace(net, name="untimed", ms_per_picture=None),
        replace(net, name="uncounted", gmacs=None),
        DeblurrerRecord("others", "folder", "ff"),
    ]
    result = replace(result, arms=arms, recovered=dict.fromkeys(names, result.recovered["net"]))
    write_metrics(tmp_path / "run", replace(run, deblurrers=records, results=[result]))
    with styled() as palette:
        (plot,) = cost_recovered(Drawing(Runs([tmp_path / "run"]), palette))
    assert isinstance(plot, Plot)
    assert (
        "Left out: time of untimed, by which the last sitting restored nothing; multiply-accumulates of uncounted,"
        " which depend on the picture; others, restored by other programs at a cost that is not known."
    ) in plot.caption


def test_looks_do_not_repeat_soon() -> None:
    looks = [deblurrer_look(place) for place in range(24)]
    assert len({(look.colour, look.marker) for look in looks}) == 24
    assert INK not in {look.colour for look in looks}
    ones, twos = [deblurrer_look(place) for place in range(5)], [deblurrer_look(5 + i, i, fused=True) for i in range(5)]
    assert [look.colour for look in ones] == [look.colour for look in twos]
    assert len({look.colour for look in twos}) == len({look.marker for look in twos}) == 5
    assert len({(look.colour, look.marker) for look in ones + twos}) == 10
    assert {look.line for look in ones}.isdisjoint(look.line for look in twos)
    assert deblurrer_look(3).through().hollow
    assert CONTROL_LOOK.colour not in {look.colour for look in looks}


@pytest.mark.parametrize("count", [5, 6, 7, 8, 14])
def test_two_passes_look_like_no_other(tmp_path: Path, make_run: MakeRun, count: int) -> None:
    run = make_run(tmp_path / "run", blurs=(8,))
    (result,), (net,) = run.results, run.deblurrers
    names = [f"net{number}" for number in range(count)]
    fused = [fused_name(name) for name in names]
    arms = dict.fromkeys(map(deblurred_arm, (*names, *fused)), result.arms[deblurred_arm("net")])
    records = [replace(net, name=name, kind="fused" if name in fused else "network") for name in (*names, *fused)]
    write_metrics(tmp_path / "run", replace(run, deblurrers=records, results=[replace(result, arms=arms)]))
    looks = [series.look for series in Runs([tmp_path / "run"]).deblurred]
    ones, twos = looks[:count], looks[count:]
    assert ones == [deblurrer_look(place) for place in range(count)]
    assert [look.colour for look in ones] == [look.colour for look in twos]
    for told in ("marker", "hatch"):
        assert len({(look.colour, getattr(look, told)) for look in looks}) == 2 * count
    assert len({(look.colour, look.line) for look in looks}) == min(2 * count, 24)  # six colours in four ways
    if count <= 6:
        assert twos == [deblurrer_look(count + place, place, fused=True) for place in range(count)]


def test_a_legend_has_as_many_columns_as_fit() -> None:
    assert _legend_columns([1.0] * 4, 4.0) == 4
    assert _legend_columns([1.0] * 4, 3.5) == 3
    # A column is as wide as its widest entry.
    assert _legend_columns([1.0, 3.0, 1.0, 3.0], 5.0) == 1
    assert _legend_columns([1.0, 1.0, 3.0, 3.0], 5.0) == 2
    assert _legend_columns([9.0], 5.0) == 1


def test_labels_of_boxes_lie_in_the_crop_and_on_no_other() -> None:
    shown = [([10.0, 10.0, 50.0, 50.0], "person 0.90"), ([12.0, 11.0, 50.0, 60.0], "bird 0.40")]
    shown += [([95.0, -9.0, 130.0, 50.0], "person 0.80"), ([10.0, 70.0, 50.0, 99.0], "car 0.30")]
    with styled():
        first, second, third, fourth = _label_places(shown, (0.0, 0.0, 100.0, 100.0))
    assert first == (10, 10)
    assert second[0] == 12
    assert 15 < second[1] < 25  # below the first's
    assert third[0] < 80
    assert third[1] == 0
    assert fourth == (10, 70)


@pytest.mark.parametrize("name", ["mstsgm-guided+gyro+mirrored", "my-guided-network-of-last-tuesday", "m" * 60])
def test_a_deblurrers_name_is_no_wider_than_its_crops(name: str) -> None:
    with styled():
        lines = _title(name).split("\n")
        assert all(text_width(line, _TITLE_SIZE, bold=True) <= _CROP_SIDE for line in lines)
    assert "".join(lines) == name


def test_lines_fit_and_lose_nothing() -> None:
    text = "yolo26n, camera shake 16 px, kernels=" + "m" * 60
    with styled():
        for width in (1.0, 2.5, 30.0):
            lines = wrapped(text, width, 9.5, bold=True)
            assert all(text_width(line, 9.5, bold=True) <= width for line in lines)
            assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert lines == [text]
        assert text_width("m" * 10, 9.5, bold=True) > text_width("m" * 10, 9.5) > text_width("i" * 10, 9.5) > 0.1
        assert wrapped("", 1.0, 9.5) == []
        assert "100 %" in wrapped("x " * 9 + "100 % of n = 280", text_width("x " * 9 + "100", 9.5), 9.5)[1]


def test_lines_are_as_full_as_if_all_lengths_were_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = ("AP of " + "wide WORDS MMM and " * 5 + "ill it lit " * 9 + "k" * 40 + " of n = 280 (95 %)", "M", "M " * 9)
    with styled():
        found = [wrapped(text, width, 8.5) for text in texts for width in (0.3, 1.0, 2.0, 4.5)]
        monkeypatch.setattr("experiments.plotting.sheet._most_letters", lambda text, *_: len(text))
        assert found == [wrapped(text, width, 8.5) for text in texts for width in (0.3, 1.0, 2.0, 4.5)]


def test_runs_of_the_same_name_are_named_by_more_of_their_path(tmp_path: Path) -> None:
    assert run_names([tmp_path / "x" / "run", tmp_path / "y" / "run"]) == ["x/run", "y/run"]


def test_boxes_of_classes_that_are_not_annotated_are_not_drawn(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "run")
    run = OpenRun(tmp_path / "run", "run")
    names = run.predictions.class_names
    assert len(names) > 1
    boxes = Boxes([[0, 0, 9, 9]] * len(names), list(range(len(names))), [0.9] * len(names))
    assert selected(run, boxes, 0.5) == boxes
    assert selected(run, boxes, 0.9) == boxes
    assert selected(run, boxes, 0.95).boxes == []
    of_two_scores = Boxes(boxes.boxes, boxes.classes, [0.8, 0.9])
    assert selected(run, of_two_scores, 0.9) == Boxes([[0, 0, 9, 9]], [1], [0.9])
    run.record.data["reports"] = {"det": {"classes_not_annotated": names[1:]}}
    assert selected(run, boxes, 0.5).classes == [0]
    run.record.protocol["scoring"] = {"classes": names[1:2]}
    assert selected(run, boxes, 0.5).classes == [1]
    run.record.protocol["scoring"] = {"classes": None}
    run.record.data["reports"] = {"det": {"classes_not_annotated": names}}
    assert selected(run, boxes, 0.5) == boxes  # nothing is known of any


def test_truth_that_a_detector_is_not_scored_on_is_not_drawn(tmp_path: Path, make_run: MakeRun) -> None:
    run = make_run(tmp_path / "run", detectors=("old", "narrow"), blurs=(8,))  # every object is a person
    narrow = replace(run.detectors[1], class_names=["car"])
    of_cars = run.protocol | {"scoring": {"classes": ["car"]}}
    for protocol, expected in ((run.protocol, [True, False]), (of_cars, [False, False])):
        write_metrics(tmp_path / "run", replace(run, protocol=protocol, detectors=[run.detectors[0], narrow]))
        runs = Runs([tmp_path / "run"])
        with styled() as palette:
            plots = [plot for plot in strips(Drawing(runs, palette)) if isinstance(plot, Plot)]
        rectangles = [plot.figure.findobj(Rectangle) for plot in plots]
        dashed = [[isinstance(each.get_linestyle(), tuple) for each in part] for part in rectangles]
        assert [any(each) for each in dashed] == expected
        truths = PictureBook(runs, 100).to_json()["truths"]
        assert [bool(truths[name]["one"]["boxes"]) for name in ("old", "narrow")] == expected


def test_objects_that_do_not_count_are_those_they_were(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "run")
    run = OpenRun(tmp_path / "run", "run")
    run.record.protocol["scoring"] = {"classes": run.predictions.class_names[1:]}
    truth = replace(run.truths["one"], truth=Boxes([[0, 0, 9, 9], [1, 1, 5, 5]], [0, 1]), ignored=[False, True])
    left = scored_truth(run, "det", truth)
    assert (left.truth, left.ignored) == (Boxes([[1, 1, 5, 5]], [1]), [True])


def test_boxes_are_the_same_object_by_class_and_place() -> None:
    assert iou([0, 0, 10, 10], [0, 0, 10, 5]) == 0.5
    assert iou([0, 0, 1, 1], [2, 2, 3, 3]) == 0
    ours = Boxes([[0, 0, 10, 10], [0, 0, 10, 10]], [0, 1], [0.9, 0.8])
    assert found_in(ours, Boxes([[0, 0, 10, 6]], [1], [0.5])) == [False, True]


def test_threads_draw_one_after_the_other_and_leave_the_settings_alone() -> None:
    before = dict(mpl.rcParams)
    assert entered_by_two(styled, lambda: mpl.rcParams["font.size"]) == 9
    assert dict(mpl.rcParams) == before
