from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from deblur.networks import build, config_from_dict
from deblur.released import load_released, save_released
from experiments import blend, release

if TYPE_CHECKING:
    from pathlib import Path

TINY = {"kind": "mstsgm", "widths": [16, 20, 24], "encoder_blocks": [1] * 3, "decoder_blocks": [1] * 3, "frames": 2}


@pytest.fixture
def trainings(tmp_path: Path) -> list[str]:
    """Weights of two trainings, and of one of another network."""
    files = []
    for index, changes in enumerate(({}, {}, {"frames": 3})):
        config = config_from_dict(TINY | changes)
        facts = dict.fromkeys(release.MADE_BY_TRAINING, index) | {"scores": {"validation": {"shake:8": {"gain": 0.5}}}}
        files.append(str(save_released(tmp_path / str(index), "last", build(config), config, facts)))
    return files


def test_a_blend_lies_between_its_two_and_says_so_when_it_is_released(trainings, tmp_path):
    output = tmp_path / "blend" / "mixed.safetensors"
    assert blend.main([*trainings[:2], "--share", "0.25", "--output", str(output)]) == 0
    first, second, mixed = (load_released(file)[0].state_dict() for file in (*trainings[:2], output))
    for name, value in mixed.items():
        wanted = 0.75 * first[name] + 0.25 * second[name] if value.is_floating_point() else second[name]
        torch.testing.assert_close(value, wanted)
    words = ["--data", "two", "--limits", "none"]
    assert release.main([str(output), "between", *words, "--output", str(tmp_path / "out")]) == 0
    card = load_released(tmp_path / "out" / "between.safetensors")[1]
    assert card["steps"] == 1
    assert card["blend"]["share"] == 0.25
    assert card["blend"]["with"]["steps"] == 0
    assert card["blend"]["with"]["sha256"] == load_released(trainings[0])[1]["sha256"]
    assert card["blend"]["of_sha256"] == load_released(trainings[1])[1]["sha256"]
    assert card["scores"]["validation"] == {}  # neither training's are the blend's


def test_a_blend_of_a_blend_says_what_both_came_from(trainings, tmp_path):
    inner, outer = tmp_path / "inner.safetensors", tmp_path / "outer.safetensors"
    assert blend.main([*trainings[:2], "--share", "0.25", "--output", str(inner)]) == 0
    assert blend.main([trainings[0], str(inner), "--share", "0.5", "--output", str(outer)]) == 0
    said = load_released(str(outer))[1]["blend"]
    assert said["share"] == 0.5
    assert said["of"] == load_released(str(inner))[1]["blend"]
    assert (
        blend.main([str(inner), trainings[1], "--share", "0.5", "--output", str(tmp_path / "other.safetensors")]) == 0
    )
    said = load_released(str(tmp_path / "other.safetensors"))[1]["blend"]
    assert said["with"]["blend"]["share"] == 0.25
    assert "of" not in said


@pytest.mark.parametrize("share", ["0", "1"])
def test_at_its_ends_a_blend_is_one_of_the_two(trainings, tmp_path, share):
    output = tmp_path / "end.safetensors"
    assert blend.main([*trainings[:2], "--share", share, "--output", str(output)]) == 0
    end, mixed = (load_released(file)[0].state_dict() for file in (trainings[int(share)], output))
    assert all(torch.equal(value, end[name]) for name, value in mixed.items() if value.is_floating_point())


def test_what_cannot_be_blended_is_refused_and_nothing_is_lost(trainings, tmp_path, capsys):
    there = tmp_path / "there.safetensors"
    there.write_bytes(b"mine")
    for given, message in (
        ([*trainings[1:], "--output", str(tmp_path / "new.safetensors")], "not of one network"),
        ([*trainings[:2], "--output", str(there)], "there already"),
        ([*trainings[:2], "--output", str(tmp_path / "new.pt")], "are written as .safetensors files"),
        ([*trainings[:2], "--output", str(there / "new.safetensors")], "cannot make the folder"),
        ([trainings[0], "nowhere.safetensors", "--output", str(tmp_path / "new.safetensors")], "nowhere.safetensors"),
    ):
        assert blend.main(given) == 1
        assert message in capsys.readouterr().err
    assert there.read_bytes() == b"mine"
    assert not (tmp_path / "new.safetensors").exists()
    with pytest.raises(SystemExit, match="2"):
        blend.main([*trainings[:2], "--share", "1.5", "--output", str(tmp_path / "new.safetensors")])
