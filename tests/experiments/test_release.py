from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from deblur import Deblurrer
from deblur.blur import parse_blur
from deblur.networks import build, config_from_dict
from deblur.pictures import read_picture, write_picture
from deblur.released import find_released, list_released, load_released, save_released
from experiments import readme_tables, release
from experiments.common.narrator import Narrator
from experiments.gain.files import read_metrics, write_metrics
from experiments.gain.measure import measure
from experiments.gain.plan import plan

if TYPE_CHECKING:
    from experiments.gain.settings import Settings

TINY = {"kind": "mstsgm", "widths": [16, 20, 24], "encoder_blocks": [1] * 3, "decoder_blocks": [1] * 3, "frames": 2}
RESTORATION: dict[str, Any] = {
    "n": 3,
    "limit": None,
    "protocol": {"alignment": "none"},
    "data": {"data_set": None, "blur": "straight:15"},
    "input": {"psnr": 23.0, "ssim": 0.7},
    "methods": {"unmove": {"psnr": 24.5, "psnr_float": 24.51, "ssim": 0.75, "ms_per_picture": 9.0}},
}
RESULTS = Path(release.__file__).parent / "results"
WORDS = ["--data", "three photographs", "--limits", "everything"]


def restoration_of(weights: Path) -> dict[str, Any]:
    """What a restoration run of these weights, under the name unmove, says."""
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    return RESTORATION | {"methods": {"unmove": RESTORATION["methods"]["unmove"] | {"sha256": sha256}}}


@pytest.fixture
def trained(tmp_path: Path, fakes: Any) -> Path:
    """Weights as training leaves them, which detection-gain runs call unmove."""
    config = config_from_dict(TINY)
    facts = {
        "trained_with": {"steps": 5},
        "steps": 5,
        "minutes": 0.1,
        "commit": "abc",
        "device": "cpu",
        "date": "2026-01-02",
    }
    card = facts | {"scores": {"validation": {"shake:8": {"gain": 0.5}}}}
    weights = save_released(tmp_path / "run", "best", build(config), config, card)
    fakes.hashes = dict.fromkeys(("unmove", "unmove+gyro"), hashlib.sha256(weights.read_bytes()).hexdigest())
    return weights


@pytest.fixture
def results(tmp_path: Path, trained: Path, settings: Settings, fakes: Any) -> Path:
    """A folder of results with one restoration and one detection-gain run."""
    (tmp_path / "results" / "gain").mkdir(parents=True)
    measure(plan(settings, fakes.tools), tmp_path / "results" / "gain", Narrator(silent=True))
    (tmp_path / "results" / "pairs").mkdir()
    (tmp_path / "results" / "pairs" / "metrics.json").write_text(json.dumps(restoration_of(trained)))
    rows = [f"{picture},{row}\n" for picture in "abc" for row in ("input,23.0,0.7", "unmove,24.5,0.75")]
    (tmp_path / "results" / "pairs" / "per_image.csv").write_text("".join(["picture,method,psnr,ssim\n", *rows]))
    return tmp_path / "results"


def test_a_release_keeps_the_weights_and_says_how_they_were_made_and_score(trained, results, tmp_path):
    runs = ["--restoration", str(results / "pairs"), "--gain", str(results / "gain")]
    assert release.main([str(trained), "unmove", *WORDS, *runs, "--output", str(tmp_path / "out")]) == 0
    deblurrer = Deblurrer.load(tmp_path / "out" / "unmove.safetensors", device="cpu")
    card = deblurrer.card
    assert (card["steps"], card["commit"], card["data"], card["limits"]) == (
        5,
        "abc",
        "three photographs",
        "everything",
    )
    assert card["scores"]["validation"] == {"shake:8": {"gain": 0.5}}
    assert card["scores"]["restoration"] == [
        {
            "run": "pairs",
            "n": 3,
            "limit": None,
            "data_set": None,
            "blur": "straight:15",
            "aligned": False,
            "input": RESTORATION["input"],
            "psnr": 24.5,
            "psnr_float": 24.51,
            "ssim": 0.75,
            "told": False,
        }
    ]
    (row,) = card["scores"]["detection"]
    assert (row["detector"], row["ap_blurred"], row["recovered"], row["harm"]) == (
        "finder",
        0,
        pytest.approx(1),
        pytest.approx(1),
    )
    assert row["fused"] is False


@pytest.mark.parametrize("name", ["none", "default", "net.safetensors", "a=b", "net+gyro"])
def test_a_name_that_a_deblurrer_would_be_taken_for_something_else_by_is_refused(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        release.main(["weights.safetensors", name, *WORDS])
    assert stopped.value.code == 2
    assert f"{name!r} cannot name weights" in capsys.readouterr().err


def test_weights_rounded_to_half_take_half_the_file_and_stay_the_same_when_released_again(trained, tmp_path):
    out = ["--half", "--output", str(tmp_path / "out")]
    assert release.main([str(trained), "unmove", *WORDS, *out]) == 0
    first = tmp_path / "out" / "unmove.safetensors"
    assert first.stat().st_size < 0.6 * trained.stat().st_size
    again = tmp_path / "again"
    assert release.main([str(first), "unmove", *WORDS, "--half", "--output", str(again)]) == 0
    assert (again / first.name).read_bytes() == first.read_bytes()
    given, rounded = (load_released(file)[0].state_dict() for file in (trained, first))
    for name, value in given.items():
        torch.testing.assert_close(rounded[name], value.to(torch.half).to(value.dtype), rtol=0, atol=0)


def test_the_sittings_of_training_stay_in_the_card(trained, tmp_path):
    card = trained.with_suffix(".json")
    sittings = [{"first_step": 1, "changed": {}}, {"first_step": 3, "changed": {"batch": [4, 8]}}]
    card.write_text(json.dumps(json.loads(card.read_text()) | {"sittings": sittings}))
    assert release.main([str(trained), "net", *WORDS, "--output", str(tmp_path / "out")]) == 0
    assert json.loads((tmp_path / "out" / "net.json").read_text())["sittings"] == sittings


def test_whether_what_is_restored_is_made_consistent_stays_in_the_card(trained, tmp_path):
    for options, said in (([], None), (["--no-consistent"], False), ([], False), (["--consistent"], True)):
        given = [str(trained), "unmove", *WORDS, *options, "--output", str(tmp_path / "out")]
        assert release.main(given) == 0
        trained = tmp_path / "out" / "unmove.safetensors"
        deblurrer = Deblurrer.load(trained, device="cpu")
        assert deblurrer.card.get("consistent") is said
        assert deblurrer.consistent is (said is not False)


def test_the_size_of_tiles_that_a_card_asks_for_stays_in_it(trained, tmp_path):
    card = trained.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"max_pixels": 1 << 22}))
    assert release.main([str(trained), "unmove", *WORDS, "--output", str(tmp_path / "out")]) == 0
    assert Deblurrer.load(tmp_path / "out" / "unmove.safetensors", device="cpu").max_pixels == 1 << 22


def _measure_told(settings, fakes, folder):
    """A detection-gain run of a network by itself and told the path."""
    folder.mkdir()
    blur = {"blurred": None, "blurs": (parse_blur("straight:200"),)}
    told = dataclasses.replace(settings, **blur, deblurrers=("unmove", "unmove+gyro"))
    return measure(plan(told, fakes.tools), folder, Narrator(silent=True))


def _write_told(content, trained, tmp_path, record, method):
    """Runs in ``gain`` and ``pairs`` that say so of the network that is told the path."""
    untold, told = content.deblurrers
    write_metrics(
        tmp_path / "gain", dataclasses.replace(content, deblurrers=[untold, dataclasses.replace(told, **record)])
    )
    methods = restoration_of(trained)["methods"]
    methods |= {"unmove+gyro": methods["unmove"] | method}
    (tmp_path / "pairs").mkdir(exist_ok=True)
    (tmp_path / "pairs" / "metrics.json").write_text(json.dumps(RESTORATION | {"methods": methods}))


@pytest.mark.parametrize("scored", [None, True, False])
def test_scores_of_another_way_to_restore_are_refused(trained, settings, fakes, tmp_path, scored, capsys):
    content = _measure_told(settings, fakes, tmp_path / "gain")
    _write_told(content, trained, tmp_path, {"consistent": scored}, {} if scored is None else {"consistent": scored})
    for option, folder in (("--gain", tmp_path / "gain"), ("--restoration", tmp_path / "pairs")):
        given = [str(trained), "unmove", *WORDS, option, str(folder), "--output", str(tmp_path / "out")]
        refused = scored is False
        assert release.main([*given, "--consistent"]) == int(refused)
        assert ("unmove+gyro not made consistent, and the card says" in capsys.readouterr().err) is refused


def test_scores_of_a_path_believed_otherwise_are_refused(trained, settings, fakes, tmp_path, capsys):
    content = _measure_told(settings, fakes, tmp_path / "gain")
    # Nothing has learnt from restorations by these weights, so that paths are believed everywhere.
    for scored in (None, "5" * 64):
        _write_told(content, trained, tmp_path, {"trust": scored}, {"trust": scored})
        for option, folder in (("--gain", tmp_path / "gain"), ("--restoration", tmp_path / "pairs")):
            given = [str(trained), "unmove", *WORDS, option, str(folder), "--output", str(tmp_path / "out")]
            assert release.main(given) == int(scored is not None)
            said = f"{folder} scored unmove+gyro with the path believed as {'5' * 12} says"
            assert (said in capsys.readouterr().err) is (scored is not None)


def test_a_card_says_what_fusing_recovers_where_the_run_fused(trained, settings, fakes, tmp_path):
    (tmp_path / "gain").mkdir()
    measure(plan(dataclasses.replace(settings, fuse=True), fakes.tools), tmp_path / "gain", Narrator(silent=True))
    given = [str(trained), "unmove", *WORDS, "--gain", str(tmp_path / "gain"), "--output", str(tmp_path / "out")]
    assert release.main(given) == 0
    rows = Deblurrer.load(tmp_path / "out" / "unmove.safetensors", device="cpu").card["scores"]["detection"]
    assert [row["fused"] for row in rows] == [False, True]
    assert [row["recovered"] for row in rows] == [pytest.approx(1)] * 2
    assert [row["harm"] for row in rows] == pytest.approx([1, 0.5])  # boxes of the sharp picture are the fainter ones
    assert [row["harm_looking_twice"] for row in rows] == [None, pytest.approx(0.5)]
    # Of four pictures there is no interval.
    assert [row["harm_looking_twice_interval"] for row in rows] == [None, [None, None]]


def test_a_card_and_the_readme_keep_apart_what_a_network_is_told(trained, settings, fakes, tmp_path):
    gain = tmp_path / "results" / "gain"
    gain.mkdir(parents=True)
    blur = {"blurred": None, "blurs": (parse_blur("straight:200"),), "fuse": True}
    told = dataclasses.replace(settings, **blur, deblurrers=("unmove", "unmove+gyro"))
    measure(plan(told, fakes.tools), gain, Narrator(silent=True))
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    methods = restoration_of(trained)["methods"]
    methods |= {"unmove+gyro": methods["unmove"] | {"psnr": 26.5}}
    (pairs / "metrics.json").write_text(json.dumps(RESTORATION | {"methods": methods}))
    given = [str(trained), "unmove", *WORDS, "--gain", str(gain), "--restoration", str(pairs)]
    assert release.main([*given, "--output", str(tmp_path / "out")]) == 0
    scores = Deblurrer.load(tmp_path / "out" / "unmove.safetensors", device="cpu").card["scores"]
    assert [(row["told"], row["fused"]) for row in scores["detection"]] == [
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    ]
    assert [(row["told"], row["psnr"]) for row in scores["restoration"]] == [(False, 24.5), (True, 26.5)]
    readme, page = pages(tmp_path)
    assert readme_tables.main(tables_of(tmp_path, tmp_path / "results")) == 0
    rows = [line.split(" | ")[0] for line in readme.read_text().splitlines() if line.startswith("| ")]
    once = ["| finder in one pass, pictures restored by", "| ---", "| unmove", "| unmove+gyro"]
    twice = ["| finder in two passes, pictures restored by", "| ---", "| unmove+mirrored", "| unmove+gyro+mirrored"]
    assert rows == once + twice
    text = page.read_text()
    assert "| detector | blur | unmove+mirrored |\n" in text
    assert "| detector | blur | unmove+gyro+mirrored |\n" in text
    assert "| AP blurred | unmove | unmove+mirrored | mirrored+blurred |" in text
    assert "the camera's path told with a sensor's errors, 4 pictures" in text
    assert "| AP blurred | unmove+gyro | unmove+gyro+mirrored |" in text


def test_what_sharp_pictures_lose_in_two_looks_is_shown_once_it_was_measured(settings, fakes, tmp_path):
    gain = tmp_path / "results" / "gain"
    gain.mkdir(parents=True)
    measure(plan(dataclasses.replace(settings, fuse=True), fakes.tools), gain, Narrator(silent=True))
    content = read_metrics(gain)
    older = [dataclasses.replace(result, harm_looking_twice={}) for result in content.results]
    readme, page = pages(tmp_path)
    for results, lost, tables in ((content.results, "0.500", 2), (older, "", 1)):
        write_metrics(gain, dataclasses.replace(content, results=results))
        assert readme_tables.main(tables_of(tmp_path, tmp_path / "results")) == 0
        once, twice = (line for line in readme.read_text().splitlines() if line.startswith("| unmove"))
        assert (once.split(" | ")[0], once.split(" | ")[-1]) == ("| unmove", "1.000 |")
        assert (twice.split(" | ")[0], twice.split(" | ")[-1]) == ("| unmove+mirrored", f"{lost} |")
        assert readme.read_text().count("| AP that sharp pictures lose |") == 2
        text = page.read_text()
        assert ("**The same with two passes** over sharp pictures as they are, too" in text) == bool(lost)
        assert text.count("| detector | unmove+mirrored | idle+mirrored |\n") == bool(lost)
        assert ("| finder | 0.500 | 0 (unchanged) |\n" in text) == bool(lost)
        assert text.count("**The same with two passes**") == tables


def test_a_share_that_is_not_defined_hides_no_other(settings, fakes, tmp_path):
    gain = tmp_path / "results" / "gain"
    gain.mkdir(parents=True)
    measure(plan(dataclasses.replace(settings, fuse=True), fakes.tools), gain, Narrator(silent=True))
    content = read_metrics(gain)
    (result,) = content.results
    share = result.recovered_looking_twice["unmove+mirrored"]
    undefined = {"unmove+mirrored": dataclasses.replace(share, value=None)}
    second = dataclasses.replace(result, blur="fog", recovered_looking_twice=undefined)
    first = dataclasses.replace(result, recovered_looking_twice={"unmove+mirrored": share})
    write_metrics(gain, dataclasses.replace(content, results=[first, second]))
    readme, page = pages(tmp_path)
    assert readme_tables.main(tables_of(tmp_path, tmp_path / "results")) == 0
    head = "finder in two passes, pictures restored by"
    (line,) = (line for line in readme.read_text().split(head)[1].splitlines() if line.startswith("| unmove+mirrored"))
    assert line.startswith(f"| unmove+mirrored | {share.value:.2f} | - |")
    of_two = page.read_text().split("**The same with two passes** over sharp and blurred")[1].split("**")[0]
    assert "| detector | blur | unmove+mirrored |" in of_two
    assert "| finder | fog | - |" in of_two


def test_a_loss_of_0_of_sharp_pictures_that_did_change_is_a_figure(results, tmp_path):
    content = read_metrics(results / "gain")
    (result,) = content.results
    through = "sharp-through:idle"
    arms = result.arms | {through: dataclasses.replace(result.arms[through], n_exact=3)}
    harm = result.harm | {"unmove": dataclasses.replace(result.harm["unmove"], value=-0.018)}
    readme, _ = pages(tmp_path)
    for changed, of_idle in ((result.arms, "0 (unchanged)"), (arms, "0.000")):
        write_metrics(
            results / "gain",
            dataclasses.replace(content, results=[dataclasses.replace(result, arms=changed, harm=harm)]),
        )
        assert readme_tables.main(tables_of(tmp_path, results)) == 0
        assert f"| unmove | 1.00 | -0.018 |\n| idle | 0.00 | {of_idle} |" in readme.read_text()


@pytest.mark.parametrize(("seeds", "alike"), [((0, 7), False), ((7, 7), True), ((0, None), True)])
def test_runs_of_other_blurred_pictures_are_told_apart_by_their_seed(results, tmp_path, seeds, alike):
    readme, _ = pages(tmp_path)
    content = read_metrics(results / "gain")
    (result,) = content.results
    for name, seed in zip(("gain", "other-gain"), seeds, strict=True):
        (results / name).mkdir(exist_ok=True)
        blurred = dataclasses.replace(result, blur=f"shake:{len(name)}")
        protocol = content.protocol | {"blur": {"specs": [blurred.blur], "seed": seed}}
        write_metrics(results / name, dataclasses.replace(content, results=[blurred], protocol=protocol))
    assert readme_tables.main(tables_of(tmp_path, results)) == 0
    assert ("shake:10" in readme.read_text()) is alike


def test_a_name_with_a_bar_keeps_to_its_cell(results, tmp_path):
    readme, page = pages(tmp_path)
    content = read_metrics(results / "gain")
    named = [dataclasses.replace(result, blur="fog|rain") for result in content.results]
    write_metrics(results / "gain", dataclasses.replace(content, results=named))
    assert readme_tables.main(tables_of(tmp_path, results)) == 0
    for text in (readme.read_text(), page.read_text()):
        assert r"fog\|rain" in text
        assert "fog|" not in text


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"limit": 3}, "3 pictures of 4 ([part]"),
        ({"classes": ("red",)}, "4 pictures, of the classes red alone ([part]"),
    ],
)
def test_a_run_of_a_part_is_on_the_page_and_not_in_the_overview(results, settings, fakes, tmp_path, part, said):
    readme, page = pages(tmp_path)
    assert readme_tables.main(tables_of(tmp_path, results)) == 0
    overview = readme.read_text()
    (results / "part").mkdir()
    measure(plan(dataclasses.replace(settings, **part), fakes.tools), results / "part", Narrator(silent=True))
    assert readme_tables.main(tables_of(tmp_path, results)) == 0
    assert readme.read_text() == overview
    assert said in page.read_text()


def test_a_run_of_other_data_is_on_the_page_and_not_in_the_overview(results, tmp_path):
    content = read_metrics(results / "gain")
    (result,) = content.results
    readme, page = pages(tmp_path)
    assert readme_tables.main(tables_of(tmp_path, results)) == 0
    overview = readme.read_text()
    other = results / "other-gain"
    other.mkdir()
    moved = {name: dataclasses.replace(each, value=0.123) for name, each in result.recovered.items()}
    renamed = dataclasses.replace(result, blur="fog", recovered=moved)
    detection = content.protocol["detection"] | {"image_size": 320}
    for data, protocol in (
        ({"n_pictures": 5}, {}),
        ({"classes": ["red"]}, {}),
        ({"sharp": {"path": "x", "sha256": "another"}}, {}),
        ({"blurred": dict.fromkeys(content.data["blurred"], "another")}, {}),
        ({}, {"detection": detection}),
        ({}, {"scoring": content.protocol["scoring"] | {"backend": "another"}}),
    ):
        changed = {"data": content.data | data, "protocol": content.protocol | protocol}
        write_metrics(other, dataclasses.replace(content, results=[renamed], **changed))
        assert readme_tables.main(tables_of(tmp_path, results)) == 0
        assert readme.read_text() == overview
        assert "([other-gain]" in page.read_text()
    same = content.data | {"blurred": {"fog": "another"}, "sha256": "another"}
    write_metrics(other, dataclasses.replace(content, results=[renamed], data=same))
    assert readme_tables.main(tables_of(tmp_path, results)) == 0
    assert "| 1.00 | 0.12 |" in readme.read_text()


@pytest.mark.parametrize("part", [{}, {"limit": 3}, {"classes": ["red"]}])
def test_rows_of_a_card_say_of_what_part_of_the_set_they_are(trained, settings, fakes, tmp_path, part):
    (tmp_path / "gain").mkdir()
    measure(plan(dataclasses.replace(settings, **part), fakes.tools), tmp_path / "gain", Narrator(silent=True))
    given = [str(trained), "unmove", *WORDS, "--gain", str(tmp_path / "gain"), "--output", str(tmp_path / "out")]
    assert release.main(given) == 0
    (row,) = json.loads((tmp_path / "out" / "unmove.json").read_text())["scores"]["detection"]
    assert {key: row[key] for key in ("limit", "classes") if key in row} == part


@pytest.mark.parametrize(("off", "said"), [(0.004, False), (0.4, True)])
def test_what_two_runs_say_otherwise_of_one_deblurrer_is_said(results, tmp_path, off, said):
    content = read_metrics(results / "gain")
    (result,) = content.results
    moved = {name: dataclasses.replace(each, value=each.value - off) for name, each in result.recovered.items()}
    again = results / "gain-again"
    again.mkdir()
    write_metrics(again, dataclasses.replace(content, results=[dataclasses.replace(result, recovered=moved)]))
    readme, _ = pages(tmp_path)
    assert readme_tables.main(tables_of(tmp_path, results)) == 0
    text = readme.read_text()
    assert f"| unmove | {result.recovered['unmove'].value:.2f} |" in text
    assert (f"\nMeasured otherwise before or since: unmove on {result.blur} {1 - off:.2f} (gain-again)" in text) is said


def pages(folder):
    """A README and a page for the tables."""
    files = folder / "README.md", folder / "results.md"
    for file in files:
        file.write_text(f"before\n{readme_tables.BEGIN}old\n{readme_tables.END}after\n")
    return files


def tables_of(folder, results):
    """The arguments that fill them."""
    readme, page = folder / "README.md", folder / "results.md"
    return ["--readme", str(readme), "--page", str(page), "--results", str(results)]


@pytest.mark.parametrize(
    ("option", "folder", "message"),
    [
        ("--restoration", "pairs", "no method other"),
        ("--restoration", "gain", "not of a restoration run"),
        ("--gain", "gain", "no deblurrer other"),
        ("--gain", "pairs", "not of a detection-gain run"),
        ("--gain", "nowhere", "nowhere/metrics.json does not exist; give the folder of a finished run"),
        ("--restoration", "nowhere", "nowhere/metrics.json does not exist; give the folder of a finished run"),
    ],
)
def test_runs_that_do_not_fit_are_refused_and_nothing_is_written(
    trained, results, tmp_path, capsys, option, folder, message
):
    given = [str(trained), "other", *WORDS, option, str(results / folder), "--output", str(tmp_path / "out")]
    assert release.main(given) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["", "..", "../up", "a/b", "default", "m+gyro", "m=n"])
def test_names_that_could_not_be_asked_for_are_refused(trained, tmp_path, name):
    with pytest.raises(SystemExit) as stopped:
        release.main([str(trained), name, *WORDS, "--output", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert not (tmp_path / "out").exists()


def test_scores_of_other_weights_of_the_same_name_are_refused(trained, results, tmp_path, capsys):
    out = ["--output", str(tmp_path / "out")]
    for option, folder in (("--restoration", "pairs"), ("--gain", "gain")):
        # Rounded, they are other weights than those that were scored.
        assert release.main([str(trained), "unmove", *WORDS, option, str(results / folder), "--half", *out]) == 1
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert f"{folder} scored other weights under the name unmove" in line
        assert not (tmp_path / "out").exists()
    nameless = restoration_of(trained)
    del nameless["methods"]["unmove"]["sha256"]
    (results / "pairs" / "metrics.json").write_text(json.dumps(nameless))
    assert release.main([str(trained), "unmove", *WORDS, "--restoration", str(results / "pairs"), *out]) == 1
    assert release.main([str(trained), "unmove", *WORDS, "--half", *out]) == 0
    rounded = tmp_path / "out" / "unmove.safetensors"
    (results / "pairs" / "metrics.json").write_text(json.dumps(restoration_of(rounded)))
    given = ["--restoration", str(results / "pairs"), "--output", str(tmp_path / "again")]
    assert release.main([str(rounded), "unmove", *WORDS, "--half", *given]) == 0


def test_scores_of_other_weights_that_were_told_the_path_are_refused(trained, settings, fakes, tmp_path, capsys):
    content = _measure_told(settings, fakes, tmp_path / "gain")
    _write_told(content, trained, tmp_path, {"sha256": "another"}, {"sha256": "another"})
    for option, folder in (("--gain", tmp_path / "gain"), ("--restoration", tmp_path / "pairs")):
        given = [str(trained), "unmove", *WORDS, option, str(folder), "--output", str(tmp_path / "out")]
        assert release.main(given) == 1
        assert "scored other weights under the name unmove+gyro" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["limit", "protocol", "data"])
def test_a_restoration_run_that_lacks_a_part_is_one_line(trained, results, tmp_path, capsys, part):
    content = restoration_of(trained)
    del content[part]
    file = results / "pairs" / "metrics.json"
    file.write_text(json.dumps(content))
    given = ["--restoration", str(file.parent), "--output", str(tmp_path / "out")]
    assert release.main([str(trained), "unmove", *WORDS, *given]) == 1
    assert f"{file} is not as this program writes it: KeyError '{part}'" in capsys.readouterr().err


@pytest.mark.parametrize("name", list_released())
def test_the_committed_cards_can_be_released_again_with_their_runs(name, tmp_path):
    _, card = load_released(name)
    runs = {
        row["run"]: option
        for option, rows in (("--restoration", "restoration"), ("--gain", "detection"))
        for row in card["scores"][rows]
    }
    given = [word for run, option in runs.items() for word in (option, str(RESULTS / run))]
    kinds = {value.dtype for value in load_file(find_released(name)).values()}
    half = ["--half"] * (torch.half in kinds)
    words = ["--data", card["data"], "--limits", card["limits"]]
    assert release.main([name, name, *words, *given, *half, "--output", str(tmp_path)]) == 0
    assert json.loads((tmp_path / f"{name}.json").read_text()) == card


def test_restoration_rows_say_what_was_scored_and_how(trained, tmp_path):
    data = {"blurred": "test/blur", "sharp": "test/sharp", "data_set": "realblur", "blur": "J", "sha256": "5"}
    for name, alignment in (("plain", "none"), ("aligned", "as the RealBlur authors score")):
        (tmp_path / name).mkdir()
        content = restoration_of(trained) | {"data": data, "limit": 3, "protocol": {"alignment": alignment}}
        (tmp_path / name / "metrics.json").write_text(json.dumps(content))
        row = release.restoration_row(tmp_path / name, "unmove")
        said = (row["data_set"], row["blur"], row["aligned"], row["limit"])
        assert said == ("realblur", "J", name == "aligned", 3)


def test_a_picture_of_the_limits_lies_beside_the_card_and_stays_with_the_weights(trained, tmp_path):
    given = tmp_path / "worst.png"
    write_picture(given, np.full((10, 2 * release.LIMITS_SIDE, 3), 90, np.uint8))
    out = ["--output", str(tmp_path / "out")]
    assert release.main([str(trained), "unmove", *WORDS, "--limits-picture", str(given), *out]) == 0
    beside = tmp_path / "out" / "unmove.jpg"
    assert read_picture(beside).shape == (5, release.LIMITS_SIDE, 3)
    before = beside.read_bytes()
    again = str(tmp_path / "out" / "unmove.safetensors")
    assert release.main([again, "unmove", *WORDS, *out]) == 0
    assert beside.read_bytes() == before
    assert release.main([again, "elsewhere", *WORDS, "--output", str(tmp_path / "other")]) == 0
    for folder, name in (("out", "unmove"), ("other", "elsewhere")):
        card = json.loads((tmp_path / folder / f"{name}.json").read_text())
        assert card["limits_picture"] == f"{name}.jpg"
        assert (tmp_path / folder / f"{name}.jpg").is_file()
    assert release.main([str(trained), "unmove", *WORDS, *out]) == 0
    assert not beside.exists()  # it showed the limits of the weights that were there before
    beside.write_bytes(b"somebody's own")
    assert release.main([str(trained), "unmove", *WORDS, *out]) == 0
    assert beside.read_bytes() == b"somebody's own"


def test_without_its_picture_a_release_is_refused_before_anything_is_written(trained, tmp_path, capsys):
    given = [str(trained), "unmove", *WORDS, "--limits-picture", str(tmp_path / "none.png")]
    assert release.main([*given, "--output", str(tmp_path / "out")]) == 1
    assert "none.png" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"limits_picture": "/home/own.png"},
            "limits_picture is '/home/own.png', not the name of a file beside the card",
        ),
        ({"limits_picture": 5}, "limits_picture is 5, not the name of a file"),
        ({"scores": {}}, "KeyError 'validation'"),
        ({"scores": [1]}, "is not as this program writes it: TypeError"),
        ({"consistent": "no"}, "says consistent: 'no'; it is true or false"),
    ],
)
def test_a_card_that_was_changed_is_one_line(trained, tmp_path, capsys, changes, message):
    card = trained.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))
    assert release.main([str(trained), "unmove", *WORDS, "--output", str(tmp_path / "out")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_weights_that_training_did_not_write_are_refused(tmp_path, capsys):
    config = config_from_dict(TINY)
    weights = save_released(tmp_path, "stray", build(config), config, {"scores": {}})
    assert release.main([str(weights), "name", *WORDS]) == 1
    assert "lacks trained_with" in capsys.readouterr().err


def test_tables_replace_what_stands_between_the_markers_and_nothing_else(results, tmp_path, capsys):
    readme, page = pages(tmp_path)
    given = tables_of(tmp_path, results)
    assert readme_tables.main([*given, "--check"]) == 1
    assert "run this without --check" in capsys.readouterr().err
    assert "old" in readme.read_text()
    assert readme_tables.main(given) == 0
    for file in (readme, page):
        text = file.read_text()
        assert text.startswith("before\n")
        assert text.endswith("after\n")
        assert "old" not in text
    assert "| unmove | 1.00 | 1.000 |\n| idle | 0.00 | 0 (unchanged) |" in readme.read_text()
    assert "| detector | blur | AP sharp | AP blurred | unmove | idle |" in text
    assert "| finder | blurred | 1.000 | 0.000 | 1.00 | 0.00 |" in text
    assert "| detector | unmove | idle |\n| --- | --- | --- |\n| finder | 1.000 | 0 (unchanged) |" in text
    assert "of 3 pictures blurred by straight:15 (" in text
    assert "| blurred | 23.00 | 0.7000 |  |" in text
    assert "| unmove | 24.50 | 0.7500 | 1.50 |" in text
    assert readme_tables.main([*given, "--check"]) == 0
    page.write_text(text.replace("24.50", "25.50"))
    assert readme_tables.main([*given, "--check"]) == 1
    assert "results.md does not say" in capsys.readouterr().err


def test_scenes_are_those_of_the_pictures_whose_psnr_is_averaged(results, tmp_path):
    pairs = results / "pairs"
    pictures = dict.fromkeys(("walk/a", "walk/b", "c"), "24.5") | {"d": ""}  # which the network has exactly
    rows = [f"{name},input,23.0,0.7\n{name},unmove,{psnr},0.75\n" for name, psnr in pictures.items()]
    (pairs / "per_image.csv").write_text("".join(["picture,method,psnr,ssim\n", *rows]))
    content = json.loads((pairs / "metrics.json").read_text())
    _, page = pages(tmp_path)
    for fewer, said in (
        ({"n_psnr": 3}, "4 pictures blurred by straight:15, PSNR of 3 of 2 scenes (too few for intervals) (["),
        ({}, "4 pictures of 2 scenes (too few for intervals) blurred by straight:15 (["),  # older runs do not say
    ):
        (pairs / "metrics.json").write_text(json.dumps(content | {"n": 4} | fewer))
        assert readme_tables.main(tables_of(tmp_path, results)) == 0
        assert said in page.read_text()


def test_without_its_markers_in_one_file_nothing_is_written(results, tmp_path, capsys):
    readme, page = pages(tmp_path)
    page.write_text("nothing here\n")
    before = readme.read_text()
    given = tables_of(tmp_path, results)
    assert readme_tables.main(given) == 1
    assert "results.md needs the lines <!-- results -->" in capsys.readouterr().err
    page.unlink()
    assert readme_tables.main(given) == 1
    assert "results.md: No such file" in capsys.readouterr().err
    assert readme.read_text() == before


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("gain/metrics.json", lambda text: text[: len(text) // 2]),
        ("gain/metrics.json", lambda text: text.replace('"results"', '"result"')),
        ("gain/metrics.json", lambda text: text.replace('"deblurred:unmove"', '"deblurred:gone"')),
        ("pairs/metrics.json", lambda text: text[: len(text) // 2]),
        ("pairs/metrics.json", lambda text: f"[{text}]"),
        ("pairs/metrics.json", lambda text: text.replace('"psnr"', '"psn"')),
        ("pairs/metrics.json", lambda text: text.replace('"data"', '"date"')),
        ("pairs/metrics.json", lambda _: '{"methods": {"unmove": 3}, "input": {}, "n": 3, "data": {}}'),
        ("pairs/per_image.csv", lambda text: text.replace("psnr", "psn")),
        ("pairs/per_image.csv", lambda text: text.replace("23.0,", "2a,")),
        ("pairs/per_image.csv", lambda _: ""),
        ("pairs/per_image.csv", None),
    ],
)
def test_a_damaged_result_is_named_in_one_line_and_nothing_is_written(results, tmp_path, capsys, file, change):
    files = pages(tmp_path)
    damaged = results / file
    if change is None:
        damaged.unlink()
    else:
        damaged.write_text(change(damaged.read_text()))
    capsys.readouterr()
    assert readme_tables.main(tables_of(tmp_path, results)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(damaged) in line
    assert all("old" in page.read_text() for page in files)


def test_the_pages_say_what_the_committed_results_say():
    assert readme_tables.main(["--check"]) == 0


def test_pictures_may_be_called_by_numbers_and_by_what_means_nothing_elsewhere(tmp_path):
    from experiments.restoring.differences import differences

    names, draw = ["null", "NA", "01", "1", *map(str, range(3, 13))], np.random.default_rng(0)
    rows = pd.DataFrame(
        [
            {"picture": name, "method": method, "psnr": round(draw.normal(25 + gain, 2), 4), "exact": False}
            for name in names
            for gain, method in enumerate(("input", "net"))
        ]
    )
    rows.to_csv(tmp_path / "per_image.csv", index=False)
    found, made = readme_tables._differences(tmp_path / "per_image.csv")
    assert (found, made["unit"][:7], made["n_units"]) == (differences(rows), "picture", 14)


def test_runs_stand_in_order_of_their_names_and_numbers(tmp_path):
    for name in ("b-28", "b-8", "a", "b-16", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.json").write_text('{"methods": {}}')
    assert [folder.name for folder, _ in readme_tables.read_runs(tmp_path)] == ["a", "b", "b-8", "b-16", "b-28"]


@pytest.mark.parametrize("scored", [True, False])
def test_a_card_of_what_is_not_made_consistent_takes_scores_of_that_alone(trained, settings, fakes, tmp_path, scored):
    content = _measure_told(settings, fakes, tmp_path / "gain")
    _write_told(content, trained, tmp_path, {"consistent": scored}, {})
    given = [str(trained), "unmove", *WORDS, "--no-consistent", "--gain", str(tmp_path / "gain")]
    assert release.main([*given, "--output", str(tmp_path / "out")]) == int(scored)
