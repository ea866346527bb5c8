"""The command that counts how often intervals hold the truth: its intervals, its counting, its table."""

from __future__ import annotations

import dataclasses
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from deblur.blur import parse_blur
from deblur.runs import write_yaml
from detection.matching import N_THRESHOLDS, ClassMatches
from experiments import coverage
from experiments.common.narrator import Narrator
from experiments.gain.measure import measure
from experiments.gain.plan import plan

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from experiments.gain.settings import Settings

N_PICTURES = 60


def _class(found_share: float, seed: int) -> ClassMatches:
    """One object a picture, found in some; the box of the others is wrong. Scores say nothing."""
    generator = np.random.default_rng(seed)
    hits = generator.random(N_PICTURES) < found_share
    return ClassMatches(
        scores=np.sort(generator.random(N_PICTURES))[::-1],
        pictures=generator.permutation(N_PICTURES),
        hits=np.tile(hits, (N_THRESHOLDS, 1)),
        counted=np.ones((N_THRESHOLDS, N_PICTURES), bool),
        positives=np.ones(N_PICTURES, np.int64),
    )


@pytest.fixture
def matches() -> dict[str, list[ClassMatches]]:
    shares = {"sharp": 0.9, "blurred": 0.2, "deblurred": 0.6}
    return {arm: [_class(share, seed) for seed in range(3)] for arm, share in shares.items()}


def _count(matches: Any, drawn: str, size: int, sets: int = 30, seed: int = 0) -> dict[tuple[str, str], coverage.Row]:
    rows, _ = coverage.coverage(matches, np.arange(N_PICTURES), size, drawn, sets, 60, seed, lambda steps: None)
    return {(row.figure, row.interval): row for row in rows}


def test_the_intervals_are_what_they_are_called() -> None:
    draws = np.random.default_rng(0).normal(size=4001)
    low, high = coverage.percentile(0.4, draws)
    assert (low, high) == pytest.approx((-1.96, 1.96), abs=0.1)
    assert coverage.basic(0.4, draws) == pytest.approx((0.8 - high, 0.8 - low))
    assert coverage.bias_corrected(float(np.median(draws)), draws) == pytest.approx((low, high), abs=0.01)
    # Draws with a bias of .5 standard deviations: its middle moves by twice as many, on any scale.
    moved = coverage.bias_corrected(-0.5, draws)
    assert moved == pytest.approx((-1.96 - 1, 1.96 - 1), abs=0.25)
    assert coverage.bias_corrected(float(np.exp(-0.5)), np.exp(draws)) == pytest.approx(np.exp(moved), rel=0.01)
    assert np.isfinite(coverage.bias_corrected(9.0, draws)).all()
    # Draws that are the figure itself lie half below it: these have no bias.
    tied = np.repeat([0.0, 1.0, 2.0], [10, 21, 10])
    assert coverage.bias_corrected(1.0, tied) == pytest.approx(coverage.percentile(1.0, tied))


def test_a_table_says_where_intervals_lie_that_do_not_hold_the_truth() -> None:
    around = np.linspace(-1, 1, 41) + 0.1  # percentiles at -.85 and 1.05: draws lie .1 too high
    sets = [(0.0, around), (2.0, around + 2), (0.9, around + 0.9), (-9.0, 3 * around - 9)]
    rows = {row.interval: row for row in coverage._rows("AP sharp", "with replacement", 0.0, sets)}
    percentile, basic = rows["percentile"], rows["basic"]
    assert (percentile.holds, percentile.above, percentile.below) == (0.25, 0.5, 0.25)
    assert (basic.holds, basic.above, basic.below) == (0.5, 0.25, 0.25)  # that of .9 begins at -.15 and not at .05
    for row in (percentile, basic):
        assert row.width == pytest.approx(1.9)  # one of 5.7 is not averaged in
        assert (row.mean, row.spread) == pytest.approx((-1.525, np.std([0, 2, 0.9, -9])))
        assert row.bootstrap_bias == pytest.approx((3 * 0.1 + 0.3) / 4)
        assert row.bootstrap_spread == pytest.approx(around.std() * 6 / 4)
    for row in coverage._rows("AP difference", "with replacement", 0.0, [(0.0, np.zeros(41))]):
        assert (row.holds, row.above, row.below) == (1, 0, 0)  # an end of the interval is a part of it


def test_figures_are_those_that_a_run_reports() -> None:
    ap = {"sharp": 0.9, "blurred": 0.1, "deblurred": 0.3, "fused": 0.7, "control": 0.2}
    draws: Any = {arm: np.array([value]) for arm, value in ap.items()}
    assert {name: float(figure(draws)[0]) for name, figure in coverage._figures(draws).items()} == pytest.approx(
        {
            "AP sharp": 0.9,
            "AP blurred": 0.1,
            "AP difference": 0.2,
            "recovered": 0.25,
            "AP difference, fused": 0.6,
            "recovered, fused": 0.75,
            "beyond control": 0.5,
        }
    )


def test_all_pictures_without_replacement_are_the_truth_itself(matches: Any) -> None:
    found = _count(matches, "without replacement", N_PICTURES, sets=3)
    assert {figure for figure, _ in found} == {"AP sharp", "AP blurred", "AP difference", "recovered"}
    for row in found.values():
        assert row.mean == pytest.approx(row.true)
        assert row.spread == pytest.approx(0, abs=1e-9)
    difference = found["AP difference", "percentile"].true
    sharp, blurred = (found[name, "percentile"].true for name in ("AP sharp", "AP blurred"))
    assert found["recovered", "percentile"].true == pytest.approx(difference / (sharp - blurred))


def test_shares_add_up_and_depend_on_the_seed_alone(matches: Any) -> None:
    found = _count(matches, "with replacement", 30)
    assert found == _count(matches, "with replacement", 30) != _count(matches, "with replacement", 30, seed=1)
    for row in found.values():
        assert row.holds + row.above + row.below == pytest.approx(1)
        assert row.width > 0
    assert found["AP difference", "percentile"].holds > 0.8
    smaller = _count(matches, "without replacement", 30)["AP difference", "percentile"]
    assert smaller.spread < found["AP difference", "percentile"].spread  # a half of 60 pictures differs less


def test_a_figure_that_is_not_defined_is_left_out(matches: Any) -> None:
    matches["sharp"] = matches["blurred"]  # nothing is lost, so nothing is recovered
    found = _count(matches, "with replacement", 30, sets=3)
    assert {figure for figure, _ in found} == {"AP sharp", "AP blurred", "AP difference"}


def test_a_figure_that_no_set_has_is_left_out(matches: Any) -> None:
    for classes in matches.values():
        for each in classes:
            each.positives[1:] = 0
    # All have an object, on one picture, but a set of one other picture has none.
    assert _count(matches, "without replacement", 1, sets=1) == {}


def test_boxes_on_other_pictures_change_nothing(matches: Any) -> None:
    copies = np.zeros((N_PICTURES, 1))
    copies[::3] = 2
    few = coverage._those_of(matches, copies[:, 0] > 0)
    assert len(few["sharp"][0].scores) == N_PICTURES // 3
    whole, cut = coverage._aps(matches, copies), coverage._aps(few, copies)
    assert {arm: ap.tolist() for arm, ap in whole.items()} == {arm: ap.tolist() for arm, ap in cut.items()}


def test_only_sets_that_a_run_gives_an_interval_count() -> None:
    def draws(n_unknown: int) -> NDArray[np.float64]:
        return np.array([np.nan] * n_unknown + [0.5] * (400 - n_unknown))

    sets = [draws(0), draws(10), draws(11), draws(400), draws(0)]
    values = [0.0, 1.0, 2.0, 3.0, float("nan")]
    # Of 400 draws 10 are a share of .025.
    for figure, kept in (("recovered", [0, 1]), ("recovered, fused", [0, 1]), ("AP difference", [0, 1, 2])):
        found = coverage._with_interval(figure, values, sets)
        assert [value for value, _ in found] == kept
        assert all(np.isfinite(known).all() for _, known in found)


def test_sets_that_a_run_gives_no_interval_are_counted_apart(matches: Any) -> None:
    matches["sharp"] = [_class(0.25, seed) for seed in range(3)]  # little is lost: in many a draw nothing
    rows, counts = coverage.coverage(
        matches, np.arange(N_PICTURES), 30, "with replacement", 30, 60, 0, lambda steps: None
    )
    assert counts.keys() == {row.figure for row in rows} | {"recovered"}
    assert counts.pop("recovered") < 30
    assert set(counts.values()) == {30}


def test_the_command_counts_on_a_run(
    settings_of_six: Settings, folder: Path, tmp_path: Path, fakes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(plan(dataclasses.replace(settings_of_six, fuse=True), fakes.tools), folder, Narrator(silent=True))
    write_yaml(
        folder / "config.yaml",
        {"annotations": str(settings_of_six.annotations), "blurred": str(settings_of_six.blurred)},
    )
    few = ["--size", "6", "--sets", "2", "--resamples", "5"]
    table, fused = tmp_path / "table.csv", tmp_path / "fused.csv"
    assert coverage.main([str(folder), *few, "--output", str(table)]) == 0
    assert "bias-corrected" in capsys.readouterr().out
    rows = pd.read_csv(table)
    assert len(rows) == 2 * 7 * 3
    assert set(rows.loc[rows.figure == "AP difference", "true"]) == {1.0}
    assert coverage.main([str(folder), *few, "--deblurrer", "unmove+mirrored", "--output", str(fused)]) == 0
    assert set(pd.read_csv(fused).figure) == {"AP sharp", "AP blurred", "AP difference", "recovered"}
    capsys.readouterr()
    for wrong, message in (
        (["--size", "9"], "--size 9: the run has 6 pictures; give that many or fewer"),
        (["--size", "6", "--deblurrer", "magic"], "has no deblurred pictures of finder, blurred, magic"),
        (["--size", "6", "--detector", "magic"], "no such detector"),
        (["--size", "5"], "--size 5: so few have no interval; give 6 or more"),
        ([*few, "--output", str(table / "table.csv")], f"cannot make the folder {table}"),
        ([*few, "--output", str(tmp_path)], f"{tmp_path} is a folder"),
    ):
        assert coverage.main([str(folder), *wrong]) == 1
        captured = capsys.readouterr()
        assert message in captured.err.splitlines()[-1]
        assert "drawing" not in captured.err
    assert coverage.main([str(folder), *few, "--output", str(tmp_path / "new" / "table.csv")]) == 0
    assert (tmp_path / "new" / "table.csv").read_bytes() == table.read_bytes()


def test_the_command_draws_by_its_seed_and_as_often_as_it_is_told(
    settings_of_six: Settings, folder: Path, tmp_path: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(plan(settings_of_six, fakes.tools), folder, Narrator(silent=True))
    given = {"annotations": str(settings_of_six.annotations), "blurred": str(settings_of_six.blurred)}
    write_yaml(folder / "config.yaml", given)
    asked = []

    def cover(*arguments: Any) -> tuple[list[coverage.Row], dict[str, int]]:
        asked.append(arguments[2:7])
        return [], {}

    monkeypatch.setattr(coverage, "coverage", cover)
    assert coverage.main([str(folder), "--size", "6", "--sets", "3", "--resamples", "7", "--seed", "5"]) == 0
    assert asked == [(6, "with replacement", 3, 7, 5), (6, "without replacement", 3, 7, 5)]


def test_the_first_blur_of_a_run_is_counted_unless_another_is_named(
    settings: Settings, folder: Path, fakes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    blurs = ["straight:12", "straight:16"]
    changes: dict[str, Any] = {
        "blurred": None,
        "blurs": tuple(map(parse_blur, blurs)),
        "deblurrers": ("idle",),
        "resamples": 0,
    }
    measure(plan(dataclasses.replace(settings, **changes), fakes.tools), folder, Narrator(silent=True))
    given = {"annotations": str(settings.annotations), "sharp": str(settings.sharp), "blur": blurs}
    write_yaml(folder / "config.yaml", given)
    for options, blur in (([], blurs[0]), (["--blur", blurs[1]], blurs[1])):
        assert coverage.main([str(folder), "--deblurrer", "magic", *options]) == 1
        assert f"has no deblurred pictures of finder, {blur}, magic" in capsys.readouterr().err


def test_sets_are_of_whole_scenes_where_intervals_draw_them(
    matches: Any, settings_of_scenes: Settings, folder: Path, fakes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    unit_of = np.arange(N_PICTURES) // 10
    rows, _ = coverage.coverage(matches, unit_of, 6, "without replacement", 2, 5, 0, lambda steps: None)
    assert all(row.mean == pytest.approx(row.true) for row in rows)  # all six scenes are all pictures
    measure(plan(settings_of_scenes, fakes.tools), folder, Narrator(silent=True))
    given = {"annotations": settings_of_scenes.annotations, "blurred": settings_of_scenes.blurred}
    write_yaml(folder / "config.yaml", {name: str(path) for name, path in given.items()})
    assert coverage.main([str(folder), "--size", "7"]) == 1
    assert "--size 7: the run has 6 scenes, which its intervals draw whole" in capsys.readouterr().err
    assert coverage.main([str(folder), "--size", "6", "--sets", "2", "--resamples", "5"]) == 0


def test_what_a_run_does_not_define_is_one_line(
    settings_of_six: Settings, folder: Path, tmp_path: Path, fakes: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--size", "6", "--sets", "2", "--resamples", "5"]
    one_blurred = shutil.copytree(settings_of_six.sharp, tmp_path / "one blurred")
    shutil.copy(settings_of_six.blurred / "a.png", one_blurred)
    for name, changes, code, message in (
        (
            "nothing lost",
            {"blurred": settings_of_six.sharp},
            0,
            "not defined, and left out: recovered, drawn with replacement",
        ),
        (
            "little lost",
            {"blurred": one_blurred},
            0,
            "without an interval, and left out: 2 of 2 sets of recovered, drawn with replacement; 2 of 2 sets",
        ),
        ("nothing restored", {"deblurrers": ()}, 1, "has no deblurrer: give a run that restored pictures"),
        ("no truth", {"classes": ("blue",)}, 1, "has no object of the classes that were scored"),
    ):
        run = tmp_path / name
        run.mkdir()
        changed = dataclasses.replace(settings_of_six, **changes)
        # A run without an object to score does not begin; older ones are made here by what config.yaml says.
        begun = dataclasses.replace(changed, classes=None)
        measure(plan(begun, fakes.tools), run, Narrator(silent=True))
        options = {"annotations": str(changed.annotations), "blurred": str(changed.blurred)}
        write_yaml(run / "config.yaml", options | {"classes": changed.classes and list(changed.classes)})
        assert coverage.main([str(run), *few]) == code
        assert message in capsys.readouterr().err.splitlines()[-1]
