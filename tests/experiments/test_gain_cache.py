"""What a detection-gain run does not compute again: nothing that is as it was, and all that depends on a change."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deblur import runs
from deblur.blur import parse_blur
from deblur.pictures import read_picture, write_picture
from experiments.common import cache
from experiments.gain.settings import Tools
from experiments.restoring import pairs
from tests.experiments.gain_runs import run

if TYPE_CHECKING:
    from collections.abc import Callable

    from experiments.gain.settings import LoadedDeblurrer, Settings

    Change = Callable[[Settings, Tools], tuple[Settings, Tools]]


def test_nothing_is_computed_twice(settings: Settings, folder: Path, fakes: Any, more_fakes: Any) -> None:
    before = run(settings, folder, fakes.tools)
    # "unmove" gives sharp pictures and "idle" gives its input: seen once, since their pixels are the same.
    assert fakes.seen == 4 * 3
    assert fakes.restored == 4 * 4
    assert run(settings, folder, more_fakes.tools) == before
    assert (more_fakes.seen, more_fakes.restored) == (0, 0)


def test_a_run_goes_on_after_a_kill(
    settings: Settings, folder: Path, tmp_path: Path, fakes: Any, more_fakes: Any
) -> None:
    fakes.stop_after = 6
    with pytest.raises(KeyboardInterrupt):
        run(settings, folder, fakes.tools)
    assert not (folder / "metrics.json").exists()
    gain = run(settings, folder, more_fakes.tools)
    assert fakes.restored + more_fakes.restored == 4 * 4
    whole = tmp_path / "whole"
    fakes.stop_after = None
    whole.mkdir()
    assert gain.results == run(settings, whole, fakes.tools).results


@pytest.mark.parametrize("damage", ["cut", "other pixels", "gone"])
def test_a_damaged_picture_of_the_cache_is_made_again(
    settings: Settings, folder: Path, damage: str, fakes: Any
) -> None:
    before = run(settings, folder, fakes.tools)
    path = folder / "cache" / "deblurred-unmove" / "blurred" / "b.png"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:60])
    elif damage == "other pixels":
        write_picture(path, np.zeros((48, 64, 3), np.uint8))
    else:
        path.unlink()
    boxes = list((folder / "cache").glob("*/detections/*/*.json"))
    assert len(boxes) == 4 * 3  # sharp, blurred, and sharp ones moved
    for entry in boxes:
        entry.write_text("{")
    assert run(settings, folder, fakes.tools).results == before.results
    assert (read_picture(path) == read_picture(settings.sharp / "b.png")).all()


def test_a_time_is_of_the_hardware_of_the_last_sitting(settings: Settings, folder: Path, fakes: Any) -> None:
    def median(hardware: str) -> float | None:
        _, tools = with_deblurrer(runs_on=hardware)(settings, fakes.tools)
        return run(settings, folder, tools).deblurrers[0].ms_per_picture

    first = median("cpu")
    assert first is not None
    assert median("cuda NVIDIA H200") is None
    assert fakes.restored == 4 * 4  # by neither is the result another
    assert median("cpu") == first


def test_what_restoring_costs_is_the_median_of_all_pictures(settings: Settings, folder: Path, fakes: Any) -> None:
    settings = dataclasses.replace(settings, sharp=None, deblurrers=("unmove",))
    run(settings, folder, fakes.tools)
    records = sorted((folder / "cache").glob("*/pictures/*/*.json"))
    for record, milliseconds in zip(records, (1, 4, 6, 900), strict=True):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"ms": milliseconds}))
    (network,) = run(settings, folder, fakes.tools).deblurrers
    assert (network.ms_per_picture, network.gmacs, network.parameters) == (5, 1.5, 7)


def test_one_network_restoring_in_two_ways_is_measured_in_both(settings: Settings, folder: Path, fakes: Any) -> None:
    def two_ways(name: str) -> LoadedDeblurrer:
        return dataclasses.replace(fakes.tools.load_deblurrer(name), sha256="the same weights", settings={"way": name})

    tools = Tools(fakes.tools.load_detector, two_ways)
    for _ in ("made", "taken out of the cache"):
        recovered = {name: one.value for name, one in run(settings, folder, tools).results[0].recovered.items()}
        assert recovered == {"unmove": pytest.approx(1), "idle": 0}


def kept(settings: Settings, tools: Tools) -> tuple[Settings, Tools]:
    return settings, tools


def with_settings(**changes: Any) -> Change:
    return lambda settings, tools: (dataclasses.replace(settings, **changes), tools)


def with_detector(**changes: Any) -> Change:
    def changed(settings: Settings, tools: Tools) -> tuple[Settings, Tools]:
        return settings, Tools(
            lambda name: dataclasses.replace(tools.load_detector(name), **changes), tools.load_deblurrer
        )

    return changed


def with_deblurrer(**changes: Any) -> Change:
    def changed(settings: Settings, tools: Tools) -> tuple[Settings, Tools]:
        return settings, Tools(
            tools.load_detector, lambda name: dataclasses.replace(tools.load_deblurrer(name), **changes)
        )

    return changed


def with_other_kernels(settings: Settings, tools: Tools) -> tuple[Settings, Tools]:
    """Of the same file."""
    (spec,) = settings.blurs
    np.savez(spec.kernels, np.eye(15)[::-1])
    return settings, tools


def with_another_picture(settings: Settings, tools: Tools) -> tuple[Settings, Tools]:
    assert settings.sharp is not None
    write_picture(settings.sharp / "b.png", read_picture(settings.sharp / "a.png")[::-1])
    return settings, tools


@pytest.mark.parametrize(
    ("change", "restored", "seen"),
    [
        (kept, 0, 0),
        (with_settings(resamples=20, classes=("red",)), 0, 0),
        (with_other_kernels, 4, 4),
        (with_settings(seed=1), 4, 4),
        (with_another_picture, 2, 2),
        (with_deblurrer(sha256="of other weights"), 8, 0),
        (with_deblurrer(settings={"way": "another"}), 8, 0),
        (with_settings(detectors=("another",)), 0, 8),
        (with_detector(settings={"head": "another"}), 0, 8),
        (with_settings(image_size=320), 0, 8),
    ],
    ids=[
        "nothing",
        "what is scored",
        "the content of a file of kernels",
        "the seed",
        "a sharp picture",
        "the deblurrer's weights",
        "the deblurrer's settings",
        "the detector",
        "the detector's settings",
        "the size that the detector sees",
    ],
)
def test_only_what_depends_on_a_change_is_made_anew(
    settings: Settings,
    tmp_path: Path,
    folder: Path,
    fakes: Any,
    more_fakes: Any,
    change: Change,
    restored: int,
    seen: int,
) -> None:
    file = tmp_path / "kernels.npz"
    np.savez(file, np.eye(15))
    blurs = (parse_blur(f"measured:200,kernels={file}"),)
    settings = dataclasses.replace(settings, blurred=None, blurs=blurs, deblurrers=("idle",))
    run(settings, folder, fakes.tools)
    assert (fakes.restored, fakes.seen) == (4 + 4, 4 + 4), "sharp and blurred ones, which it leaves as they are"
    changed, tools = change(settings, more_fakes.tools)
    run(changed, folder, tools)
    assert (more_fakes.restored, more_fakes.seen) == (restored, seen)


@pytest.mark.parametrize("package", ["torch", "torchvision", "ultralytics", "opencv-python", "numpy", "Pillow"])
def test_of_another_version_of_what_makes_pictures_and_boxes_all_is_made_anew(
    settings: Settings, folder: Path, fakes: Any, more_fakes: Any, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setattr("experiments.gain.measure.state_of_code", cache.state_of_code.__wrapped__)
    run(settings, folder, fakes.tools)
    version = runs.metadata.version
    monkeypatch.setattr(runs.metadata, "version", lambda name: "99" if name == package else version(name))
    run(settings, folder, more_fakes.tools)
    assert (more_fakes.restored, more_fakes.seen) == (fakes.restored, fakes.seen)
    assert fakes.seen > 0


@pytest.mark.parametrize(
    ("file", "makes_values"),
    [
        ("deblur/exposure/paths.py", True),
        ("deblur/path_search/fitting.py", True),
        ("deblur/a_folder_to_come/new.py", True),
        ("deblur/training/log.py", False),
        ("deblur/prepare/command.py", False),
        ("detection/yolo.py", True),
        ("detection/drawing.py", False),
        ("detection/annotations/voc.py", False),
        ("detection/bootstrap.py", False),
        ("pipelines/motions.py", True),
        ("pipelines/sinks.py", False),
        ("experiments/gain/picture_sets.py", True),
        ("experiments/common/printed_table.py", False),
        ("experiments/gain/scores.py", False),
    ],
)
def test_a_change_makes_values_anew_where_it_is_of_what_makes_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, makes_values: bool
) -> None:
    assert (cache._PROJECT / file).is_file() or "to_come" in file
    monkeypatch.setattr(cache, "_PROJECT", tmp_path)
    before = cache.state_of_code.__wrapped__()
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text("# another way")
    assert (cache.state_of_code.__wrapped__() != before) == makes_values


def test_every_pattern_of_what_makes_values_names_a_file() -> None:
    patterns = [*cache._MAKE_VALUES, *cache._MAKE_NONE]
    assert [each for each in patterns if not any(cache._PROJECT.glob(each))] == []


# Names of arms and what records of results are made of, where files lie, what refuses, and hashes of whole sets.
MAKE_NO_VALUE = {
    "experiments.gain.inputs.check_size",
    "experiments.gain.inputs.hash_of_set",
    "experiments.gain.plan.peer_folder",
    "experiments.gain.records",
    "pipelines.sources.Source",
}


def test_what_makes_values_uses_nothing_whose_changes_would_go_unseen() -> None:
    project = cache._PROJECT
    makers = {*cache.code_of_values(), *(Path(pairs.__file__).parent / name for name in pairs._SCORING)}
    seen = {None, *makers, *(maker.parent / "__init__.py" for maker in makers)}
    used = {name for maker in makers for name in _imported(maker) if _file_of(project, name) not in seen}
    assert {name for name in used if MAKE_NO_VALUE.isdisjoint({name, name.rpartition(".")[0]})} == set()
    assert "pipelines.sources.Source" in used, "so that it is known to look at all"


def _imported(file: Path) -> set[str]:
    """What a file imports anywhere, by dotted names, but for type checkers."""
    names = set()
    nodes: list[ast.AST] = [ast.parse(file.read_bytes())]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        nodes += ast.iter_child_nodes(node)
    return names


def _file_of(project: Path, name: str) -> Path | None:
    """Where a dotted name is defined: a module, or what stands in one; None where that is not in the project."""
    module = project.joinpath(*name.split("."))
    places = [module.with_suffix(".py"), module / "__init__.py"]
    places += [module.parent.with_suffix(".py"), module.parent / "__init__.py"]
    return next((place for place in places if place.is_file()), None)


@pytest.mark.parametrize("left", [b"", b"\0" * 20, b'{"x":', b"[1]"])
def test_a_value_that_a_loss_of_power_damaged_is_none(tmp_path: Path, left: bytes) -> None:
    kept = cache.Cache(tmp_path, "code")
    kept.put("kind", "key", {"x": 1})
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert kept.get("kind", "key") == {"x": 1}
    file.write_bytes(left)
    assert kept.get("kind", "key") is None


def test_values_do_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    kept = cache.Cache(tmp_path, "code")
    kept.put("kind", "key", {"x": 1})
    kept.put("kind", "key", {"x": 2})
    assert kept.get("kind", "key") == {"x": 2}
    assert waited == []
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["key.json"]
