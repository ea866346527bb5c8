"""Training an exposure guide and a network behind it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from PIL import Image
from skimage import data as photographs

from deblur import Deblurrer
from deblur.errors import DeblurError
from deblur.networks import build, config_from_dict, named_config
from deblur.networks.guided import GUIDE_CHANNELS, guided_config
from deblur.networks.kernel_estimator import KernelEstimatorConfig
from deblur.released import load_released, save_released
from deblur.train import main
from deblur.training.initial import load_initial
from tests.deblur.tiny_training import assert_same

ESTIMATOR = ["--network", "estimator", "--set", "widths=[4,6,8,10]"]
NETWORK = ["--set", "widths=[16,20,24]", "encoder_blocks=[1,1,1]", "decoder_blocks=[1,1,1]"]


def train(tmp_path, photos, *extra: str) -> int:
    common = ["--batch", "2", "--val-limit", "1", "--val-side", "64", "--val-blur", "shake:8", "--steps", "2"]
    place = ["--sharp", str(photos), "--output", str(tmp_path / "runs"), "--threads", "1", "--device", "cpu"]
    return main([*common, *place, *extra])


@pytest.fixture
def estimator(tmp_path, photos):
    assert train(tmp_path, photos, *ESTIMATOR, "--crop", "64", "--name", "eyes", "--accumulate", "2") == 0
    return tmp_path / "runs/train/eyes/weights/best.safetensors"


def test_an_estimator_is_trained_and_then_guides_a_network_that_restores(tmp_path, photos, estimator, capsys):
    written = (estimator.parent.parent / "results.csv").read_text()
    assert "shake:8 gain" in written  # of the picture that inverse filters make
    card = load_released(estimator)[1]
    assert card["network"]["kind"] == "kernel-estimator"
    with pytest.raises(DeblurError, match="estimates blur and restores no pictures"):
        Deblurrer.load(estimator, "cpu")

    guide = ["--estimator", str(estimator), "--crop", "32", "--context", "16", "--set", "guide=true"]
    assert train(tmp_path, photos, "--network", "mstsgm-nano", *guide, *NETWORK, "--name", "guided") == 0
    weights = tmp_path / "runs/train/guided/weights/best.safetensors"
    network, card = load_released(weights)
    assert card["network"]["kind"] == "guided"
    assert card["network"]["estimator"]["widths"] == [4, 6, 8, 10]
    kept = load_released(estimator)[0].state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in network.guide.estimator.state_dict().items())
    picture = photographs.astronaut()[:90, :100]
    assert Deblurrer.load(weights, "cpu")(picture).shape == picture.shape

    # Another network behind the same guide, and the same network without it.
    capsys.readouterr()
    again = ["--init", str(weights), "--estimator", str(weights), "--crop", "32", "--name", "again", "--json"]
    assert train(tmp_path, photos, *again) == 0
    guided = json.loads(capsys.readouterr().out)
    alone = ["--network", "mstsgm-guided", "--set", "guide=false", "--crop", "32", "--name", "alone"]
    assert train(tmp_path, photos, *alone, *NETWORK, "--json") == 0
    assert 0 < json.loads(capsys.readouterr().out)["parameters"] < guided["parameters"]
    assert load_released(tmp_path / "runs/train/alone/weights/best.safetensors")[1]["network"]["kind"] == "mstsgm"


def test_a_guided_network_begins_as_the_first_channels_of_a_wider_one(tmp_path, photos, estimator):
    wide = ["--network", "mstsgm-guided", "--estimator", str(estimator), "--crop", "32", "--name", "first"]
    assert train(tmp_path, photos, *wide, *NETWORK) == 0
    first = tmp_path / "runs/train/first/weights/last.safetensors"
    narrower = ["--init", str(first), "--set", "widths=[16,20,16]", "--crop", "32", "--name", "second"]
    assert train(tmp_path, photos, *narrower) == 0
    again, card = load_released(tmp_path / "runs/train/second/weights/last.safetensors")
    assert card["network"]["network"]["widths"] == [16, 20, 16]
    assert again.guide(torch.rand(1, 3, 40, 48)).shape == (1, GUIDE_CHANNELS, 40, 48)


def test_an_estimator_of_one_light_becomes_one_of_two(tmp_path):
    config = KernelEstimatorConfig((4, 6, 8, 10))
    one, two = (build(replace(config, lights=lights)).eval() for lights in (1, 2))
    save_released(tmp_path, "one", one, config, {})
    load_initial(two, tmp_path / "one.safetensors")
    # Black and white are the same in both lights.
    drawing = (
        (torch.rand(1, 1, 33, 33) > 0.5).float().expand(-1, 3, -1, -1).repeat_interleave(8, 2).repeat_interleave(8, 3)
    )
    with torch.inference_mode():
        torch.testing.assert_close(two(drawing).log_kernels, one(drawing).log_kernels, rtol=1e-3, atol=1e-3)
        grey = drawing * 0.5 + torch.rand_like(drawing) * 0.1
        assert not torch.allclose(two(grey).log_kernels.mean, one(grey).log_kernels.mean, rtol=1e-3, atol=1e-3)
    save_released(tmp_path, "two", two, two.config, {})
    with pytest.raises(DeblurError, match="does not fit the network that --set makes"):
        load_initial(one, tmp_path / "two.safetensors")


def test_a_guided_network_goes_on_behind_another_estimator(tmp_path, photos, estimator, capsys):
    small = ["--network", "mstsgm-guided", "--estimator", str(estimator), "--crop", "32", "--name", "first"]
    assert train(tmp_path, photos, *small, *NETWORK) == 0
    config = KernelEstimatorConfig((6, 6, 8, 10), lights=2)
    other = build(config)
    save_released(tmp_path, "other", other, config, {})
    first = tmp_path / "runs/train/first/weights/last.safetensors"
    new_guide = ["--init", str(first), "--estimator", str(tmp_path / "other.safetensors"), "--learning-rate", "1e-12"]
    assert train(tmp_path, photos, *new_guide, "--crop", "32", "--name", "second") == 0
    again, before = (
        load_released(tmp_path / f"runs/train/{name}/weights/last.safetensors")[0] for name in ("second", "first")
    )
    assert again.config.estimator == config
    kept = other.state_dict()
    assert all(torch.equal(value, kept[name]) for name, value in again.guide.estimator.state_dict().items())
    for ours, theirs in zip(again.network.parameters(), before.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    # A run keeps its own, also where another one would fit.
    alike = load_released(estimator)[0]
    save_released(tmp_path, "alike", alike, alike.config, {})
    given = ["--resume", str(tmp_path / "runs/train/first"), "--estimator", str(tmp_path / "alike.safetensors")]
    assert main([*given, "--steps", "9"]) == 1
    assert f"alike.safetensors (was {estimator}) would do nothing" in capsys.readouterr().err


def test_a_guided_network_begins_with_the_guide_of_its_weights_too():
    released, _ = load_released("mstsgm-guided")
    network = build(released.config)
    load_initial(network, "mstsgm-guided")
    assert_same(network.state_dict(), released.state_dict())


def test_a_network_begins_as_the_first_channels_and_blocks_of_a_larger_one(tmp_path):
    wide = build(named_config("mstsgm-nano"))
    save_released(tmp_path, "wide", wide, wide.config, {})
    narrow = build(replace(wide.config, widths=(16, 32, 24), decoder_blocks=(1, 1, 2)))
    load_initial(narrow, tmp_path / "wide.safetensors")
    given = wide.state_dict()
    for name, weights in narrow.state_dict().items():
        assert torch.equal(weights, given[name][tuple(slice(size) for size in weights.shape)])
    assert narrow.encoder[2][0].branch[0][0].weight.shape == (24, 24, 3, 3)
    assert (len(wide.decoder[2]), len(narrow.decoder[2])) == (3, 2)
    for widths in ((16, 24, 24), (16, 32, 128)):
        with pytest.raises(DeblurError, match="does not fit the network that --set makes"):
            load_initial(build(replace(wide.config, widths=widths)), tmp_path / "wide.safetensors")


@pytest.mark.parametrize("without_guide", [named_config("mimo-unet"), replace(named_config("mstsgm-nano"), msfd=False)])
def test_other_weights_than_of_an_mstsgm_with_msfd_take_no_guide(tmp_path, without_guide):
    save_released(tmp_path, "plain", build(without_guide), without_guide, {})
    with pytest.raises(DeblurError, match="only the weights of an MSTSGM with MSFD take a guide afterwards; leave"):
        load_initial(build(guided_config(without_guide)), tmp_path / "plain.safetensors")


def test_a_guide_is_told_paths_and_validated_with_and_without_them(tmp_path, photos, estimator):
    told = ["--network", "mstsgm-guided", "--estimator", str(estimator), "--crop", "32", "--path-share", "0.6"]
    assert train(tmp_path, photos, *told, *NETWORK, "--blur", "shake:20-32", "--name", "told") == 0
    run = tmp_path / "runs/train/told"
    scores = json.loads((run / "metrics.json").read_text())["validation"]
    assert list(scores) == ["shake:8", "shake:8+path"]
    assert scores["shake:8"]["input"] == scores["shake:8+path"]["input"]
    assert scores["shake:8"]["restored"] != scores["shake:8+path"]["restored"]
    assert {file.name for file in (run / "samples").iterdir()} >= {
        "shake-8-0-step0000002.jpg",
        "shake-8-path-0-step0000002.jpg",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--network", "mstsgm-nano", "--path-share", "0.5"], "are for guided networks, and mstsgm-nano here is none"),
        (["--network", "mstsgm-guided"], "a guided network needs --estimator"),
        (["--init", "mstsgm-nano", "--set", "guide=true"], "a guided network needs --estimator"),
        (["--network", "mstsgm", "--set", "guide_channels=5"], "names none: write --set guide=true"),
        (["--network", "mstsgm-nano", "--context", "16"], "are for guided networks, and mstsgm-nano here is none"),
        (["--network", "mstsgm-guided", "--estimator", "mstsgm-nano"], "mstsgm-nano holds no kernel estimator"),
        (["--network", "estimator", "--pairs", "PAIRS"], "give it --sharp pictures alone"),
        (["--network", "estimator", "--set", "guide=true"], "restores no pictures and takes no guide"),
        (["--network", "mstsgm-nano", "--set", "guide=2"], "write guide=true or guide=false"),
        (["--init", "mstsgm-guided", "--set", "guide=false"], "does not fit the network that --set makes"),
        (["--init", "mstsgm-guided", "--set", "guide=false"], "learnt with a guide, and guide=false leaves none"),
    ],
)
def test_options_that_do_not_fit_are_one_line(tmp_path, photos, capsys, given, message):
    for side in ("blur", "sharp"):
        (tmp_path / "pairs" / side).mkdir(parents=True)
        Image.fromarray(photographs.astronaut()[:64, :64]).save(tmp_path / "pairs" / side / "a.png")
    named = [str(tmp_path / "pairs") if each == "PAIRS" else each for each in given]
    assert train(tmp_path, photos, *named, "--crop", "32") == 1
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()


def test_a_guided_network_begins_as_the_one_without_a_guide(tmp_path, photos, estimator):
    alone = ["--network", "mstsgm-nano", "--crop", "32", "--name", "alone", *NETWORK]
    assert train(tmp_path, photos, *alone) == 0
    weights = tmp_path / "runs/train/alone/weights/last.safetensors"
    plain, card = load_released(weights)
    config = guided_config(config_from_dict(card["network"]))
    guided = build(config).eval()
    load_initial(guided, weights)
    x = torch.rand(1, 3, 40, 48)
    with torch.inference_mode():
        unguided = guided(x, torch.zeros(1, GUIDE_CHANNELS, 40, 48))
        for ours, theirs in zip(unguided.pictures, plain(x).pictures, strict=True):
            torch.testing.assert_close(ours, theirs)
        # One correction of 1, a few hundredths of it taken.
        corrected = guided(x, torch.eye(GUIDE_CHANNELS)[:1].view(1, -1, 1, 1).expand(-1, -1, 40, 48)).picture
    assert 0.01 < (corrected - unguided.picture).mean() < 0.1

    given = ["--init", str(weights), "--estimator", str(estimator), "--set", "guide=true", "--crop", "32"]
    assert train(tmp_path, photos, *given, "--name", "grown") == 0
    assert load_released(tmp_path / "runs/train/grown/weights/last.safetensors")[1]["network"]["kind"] == "guided"
