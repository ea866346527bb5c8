"""The networks: sizes, shapes, gradients, evaluation, ablation and configs."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from deblur.errors import DeblurError
from deblur.networks import (
    NETWORK_NAMES,
    MIMOUNetConfig,
    MSTSGMConfig,
    NetworkConfig,
    build,
    config_from_dict,
    config_to_dict,
    named_config,
    picture_pyramid,
)
from deblur.networks.blocks import Unshuffle
from deblur.networks.cost import cost_of
from deblur.networks.mstsgm import EAGR, FAM, MSFF, TCN, shared

# Counted on the authors' design once it is made to run: parameters, multiply-accumulates at 256x256.
CHECK_VALUES = {
    "mstsgm": (28.3e6, 268.9e9),
    "mstsgm-star": (12.7e6, 122.4e9),
    "mimo-unet": (6.81e6, 63.7e9),
    "mimo-unet-plus": (16.11e6, 150.7e9),
}
# Every structure at a size that takes a moment.
SMALL: dict[str, NetworkConfig] = {
    "dense": MSTSGMConfig(
        widths=(8, 12, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), frames=3, frame_shrink=2
    ),
    "depthwise": MSTSGMConfig(
        widths=(8, 12, 16), encoder_blocks=(1, 2, 1), decoder_blocks=(2, 1, 1), frames=2, temporal="depthwise"
    ),
    "guided": MSTSGMConfig(
        widths=(16, 20, 24), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), frames=2, shuffle=2, guide_channels=2
    ),
    "corrected": MSTSGMConfig(
        widths=(16, 20, 24),
        encoder_blocks=(1, 1, 1),
        decoder_blocks=(1, 1, 1),
        frames=2,
        shuffle=2,
        guide_channels=3,
        corrections=2,
    ),
    "nano": named_config("mstsgm-nano"),
    "mimo": MIMOUNetConfig(width=8, blocks=1),
    "guided-mimo": MIMOUNetConfig(width=8, blocks=1, guide_channels=2),
}
PARTS = ("msfd", "tcn", "eagr", "fam", "msff")


def guide_for(config: NetworkConfig, x: torch.Tensor) -> torch.Tensor | None:
    channels = getattr(config, "guide_channels", 0)
    return torch.rand(x.shape[0], channels, *x.shape[2:]) if channels else None


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_pixels_are_unshuffled_as_by_torch_and_lie_in_memory_as_before(factor, memory_format):
    pictures = torch.rand(2, 3, 12, 18).contiguous(memory_format=memory_format)
    theirs, ours = F.pixel_unshuffle(pictures, factor), Unshuffle(factor)(pictures)
    assert torch.equal(ours, theirs)
    assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("name", CHECK_VALUES)
def test_sizes_are_those_of_the_papers_within_a_percent(name: str) -> None:
    parameters, macs = CHECK_VALUES[name]
    counted = cost_of(named_config(name), 256, 256)
    assert counted == (pytest.approx(parameters, rel=0.01), pytest.approx(macs, rel=0.01))


def test_nano_is_small_enough_for_a_processor() -> None:
    parameters, macs = cost_of(named_config("mstsgm-nano"), 256, 256)
    assert parameters <= 2.5e6
    assert macs <= 3e9


@pytest.mark.parametrize("name", SMALL)
def test_the_finest_picture_alone_is_the_same(name: str) -> None:
    config = SMALL[name]
    network = build(config).eval()
    x = torch.rand(1, 3, 33, 40)
    guide = guide_for(config, x)
    with torch.inference_mode():
        all_three, finest = network(x, guide), network(x, guide, finest_only=True)
    assert [len(restored.pictures) for restored in (all_three, finest)] == [3, 1]
    torch.testing.assert_close(finest.picture, all_three.picture)


@pytest.mark.parametrize("name", SMALL)
def test_gradient_reaches_every_parameter(name: str) -> None:
    config = SMALL[name]
    network = build(config)
    x = torch.rand(2, 3, 32, 40)
    restored = network(x, guide_for(config, x))
    sharp = picture_pyramid(torch.rand(2, 3, 32, 40))
    sum((a - b).abs().mean() for a, b in zip(restored.pictures, sharp, strict=True)).backward()
    gradients = {key: value.grad for key, value in network.named_parameters()}
    assert all(each is not None and each.isfinite().all() for each in gradients.values())
    assert [key for key, each in gradients.items() if each is None or not each.any()] == []


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (33, 50), (250, 255)])
def test_any_size_comes_back_at_its_own_scales(name: str, height: int, width: int) -> None:
    config = SMALL[name]
    network = build(config).eval()
    x = torch.rand(1, 3, height, width)
    with torch.inference_mode():
        restored = network(x, guide_for(config, x))
    sizes = [tuple(each.shape) for each in restored.pictures]
    assert sizes == [tuple(each.shape) for each in picture_pyramid(x)]
    assert sizes == [(1, 3, -(-height // k), -(-width // k)) for k in (1, 2, 4)]
    assert all(each.isfinite().all() for each in restored.pictures)
    assert restored.picture is restored.pictures[0]


def test_a_picture_is_padded_by_its_own_reflection() -> None:
    network = build(SMALL["dense"]).eval()
    x = torch.rand(1, 3, 6, 7)
    whole = F.pad(x, (0, 1, 0, 2), mode="reflect")
    with torch.inference_mode():
        torch.testing.assert_close(network(x).picture, network(whole).picture[..., :6, :7])


@pytest.mark.parametrize("name", SMALL)
def test_batch_does_not_matter_in_evaluation(name: str) -> None:
    config = SMALL[name]
    network = build(config)
    x = torch.rand(8, 3, 24, 32)
    guide = guide_for(config, x)
    network(x, guide)  # training moves batch norm's running statistics away from their start
    network.eval()
    with torch.inference_mode():
        together = network(x, guide).picture
        alone = [network(x[i : i + 1], None if guide is None else guide[i : i + 1]).picture for i in range(8)]
    torch.testing.assert_close(torch.cat(alone), together, rtol=0, atol=1e-5)


def test_frames_come_only_in_training() -> None:
    config = MSTSGMConfig(widths=(8, 12, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), frames=3)
    network = build(config)
    x = torch.rand(2, 3, 16, 24)
    frames = network(x).frames
    assert [tuple(each.shape) for each in frames] == [(2, 3, 8, 16, 24), (2, 3, 12, 8, 12), (2, 3, 16, 4, 6)]
    assert network.eval()(x).frames is None
    assert build(replace(config, tcn=False))(x).frames is None
    assert build(SMALL["mimo"])(x).frames is None


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_an_untrained_network_changes_a_picture_little(name: str) -> None:
    x = F.interpolate(torch.rand(1, 3, 5, 5), (32, 32), mode="bilinear")
    with torch.inference_mode():
        change = (build(named_config(name)).eval()(x).picture - x).abs().mean()
    assert 0 < change < 0.3


@pytest.mark.parametrize("name", ["dense", "nano"])
def test_each_part_can_be_switched_off(name: str) -> None:
    config = SMALL[name]
    assert isinstance(config, MSTSGMConfig)
    full, _ = cost_of(config, 64, 64)
    x = torch.rand(2, 3, 16, 16)
    counts = {}
    for part in PARTS:
        without = replace(config, **{part: False})
        network = build(without)
        pictures = network(x).pictures
        sum(each.square().mean() for each in pictures).backward()
        unreached = [key for key, each in network.named_parameters() if each.grad is None or not each.grad.any()]
        assert unreached == [], part
        counts[part], _ = cost_of(without, 64, 64)
        assert 0 < counts[part] < full, part
    assert len(set(counts.values())) == len(PARTS)
    build(replace(config, **dict.fromkeys(PARTS, False)))(x)


@pytest.mark.parametrize("name", ["guided", "guided-mimo"])
def test_a_guide_is_used_at_every_scale_and_only_where_asked_for(name: str) -> None:
    network = build(SMALL[name]).eval()
    x, guide = torch.rand(1, 3, 16, 16), torch.rand(1, 2, 16, 16)
    with torch.inference_mode():
        first, second = network(x, guide).pictures, network(x, 1 - guide).pictures
    assert all(not torch.equal(a, b) for a, b in zip(first, second, strict=True))
    with pytest.raises(ValueError, match="guide of 2 channels"):
        network(x)
    with pytest.raises(ValueError, match="guide of 0 channels"):
        build(SMALL["nano"])(x, guide)
    with pytest.raises(ValueError, match="guide of 0 channels"):
        build(SMALL["mimo"])(x, guide)


def test_a_guide_is_taken_without_msfd() -> None:
    x, guide = torch.rand(1, 3, 16, 16), torch.rand(1, 2, 16, 16)
    config = SMALL["guided"]
    assert isinstance(config, MSTSGMConfig)
    assert build(replace(config, msfd=False))(x, guide).picture.shape == x.shape


def test_corrections_are_shared_out_by_weights_that_add_up_to_one() -> None:
    corrections = torch.stack([torch.full((1, 4, 4), 1.0), torch.full((1, 4, 4), 3.0)], 1)
    even = shared(corrections, torch.zeros(1, 2, 4, 4))
    torch.testing.assert_close(even, torch.full((1, 1, 4, 4), 4 / 3))  # a third each, and a third of none
    second = shared(corrections, torch.stack([torch.zeros(1, 4, 4), torch.full((1, 4, 4), 50.0)], 1))
    torch.testing.assert_close(second, torch.full((1, 1, 4, 4), 3.0))


@pytest.mark.parametrize("name", ["depthwise", "nano", "mimo"])
def test_memory_layout_and_bfloat16_change_only_the_rounding(name: str) -> None:
    network = build(SMALL[name]).eval()
    x = torch.rand(2, 3, 24, 32)
    with torch.inference_mode():
        expected = network(x).picture
        other = network.to(memory_format=torch.channels_last)(x.contiguous(memory_format=torch.channels_last)).picture
        with torch.autocast("cpu", torch.bfloat16):
            coarse = network(x).picture
    torch.testing.assert_close(other, expected, rtol=0, atol=1e-4)
    assert coarse.dtype == torch.float32
    assert (coarse - expected).abs().mean() < 0.02


def test_tcn_weighs_by_the_mean_of_a_zero_padded_window() -> None:
    tcn = TCN(4, 2, 1, "dense")
    x = torch.randn(1, 4, 6, 5)
    ordered = tcn.temporal(tcn.unmix(x))
    windows = F.unfold(ordered, 3, padding=1).unflatten(1, (8, 9)).mean(2).unflatten(2, (6, 5))
    torch.testing.assert_close(tcn(x)[0], tcn.reconstruct(tcn.mix(ordered * windows)))


@pytest.mark.parametrize("target", [0, 1])
def test_msff_adds_what_every_scale_projects(target: int) -> None:
    fusion = MSFF((4, 6, 8), target, "project")
    assert fusion.project is not None
    encoded = [torch.randn(2, width, 16 >> k, 24 >> k) for k, width in enumerate((4, 6, 8))]
    size = encoded[target].shape[-2:]
    expected = torch.zeros(2, (4, 6)[target], *size)
    for project, x in zip(fusion.project, encoded, strict=True):
        # By area where it shrinks, by the nearest where it grows.
        mode = "area" if x.shape[-1] > size[-1] else "nearest"
        expected += F.interpolate(project(x), size, mode=mode)
    torch.testing.assert_close(fusion(encoded), fusion.fuse(expected))


def test_fam_weighs_channels_by_their_mean_and_by_their_peak() -> None:
    attention = FAM(16)
    a, b = torch.rand(2, 1, 16, 6, 6)
    b[..., 2, 2] *= 30  # a peak that the mean hardly tells of
    with torch.inference_mode():
        merged = attention.merge(a * b)
        pooled = F.adaptive_avg_pool2d(merged, 1), F.adaptive_max_pool2d(merged, 1)
        channel = torch.sigmoid(torch.stack([attention.bottleneck(each) for each in pooled]).sum(0))
        expected = a + merged * channel * torch.sigmoid(attention.where(merged))
        torch.testing.assert_close(attention(a, b), expected)


def test_eagr_starts_as_sobel_and_is_smooth_on_flat_pictures() -> None:
    edges = EAGR(4, 1)
    ramp = torch.arange(6.0).expand(1, 3, 5, 6) / 10
    gradient = edges.gradient(ramp)
    torch.testing.assert_close(gradient[:, :3, :, 1:-1].abs(), torch.full((1, 3, 5, 4), 0.8))
    torch.testing.assert_close(gradient[:, 3:], torch.zeros(1, 3, 5, 6))
    flat = torch.full((2, 3, 4, 4), 0.5, requires_grad=True)
    edges(torch.ones(2, 4, 4, 4), flat).sum().backward()
    assert edges.gradient.weight.grad.isfinite().all()
    assert flat.grad.isfinite().all()


def test_eagr_weighs_in_one_convolution_once_trained() -> None:
    edges = EAGR(4, 2)
    features, picture = torch.randn(2, 4, 5, 6), torch.rand(2, 3, 10, 12)
    for _ in range(3):  # batch norm's statistics leave their start
        edges(features, picture)
    edges.eval()
    horizontal, vertical = edges.gradient(picture).chunk(2, 1)
    magnitude = edges.unshuffle((horizontal.square() + vertical.square() + EAGR.EPSILON).sqrt())
    torch.testing.assert_close(edges(features, picture), features * edges.attention(magnitude))


def test_pyramid_is_a_mean_by_area() -> None:
    x = torch.rand(1, 3, 8, 12)
    full, half, quarter = picture_pyramid(x)
    assert full is x or torch.equal(full, x)
    torch.testing.assert_close(half, F.interpolate(x, scale_factor=0.5, mode="area"))
    torch.testing.assert_close(quarter, F.interpolate(x, scale_factor=0.25, mode="area"))


@pytest.mark.parametrize("config", [*map(named_config, NETWORK_NAMES), *SMALL.values()])
def test_configs_survive_json(config: NetworkConfig) -> None:
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "unknown network kind None; known: mstsgm, mimo-unet"),
        ({"kind": "os.system"}, "unknown network kind 'os.system'"),
        ({"kind": ["mstsgm"]}, "unknown network kind"),
        ({"kind": "mstsgm", "depth": 3}, "unknown key 'depth' in a mstsgm network's config; known: .*widths"),
        (
            {"kind": "mstsgm", "frames": True},
            "'frames' in a mstsgm network.* is a whole number up to 4096, not True",
        ),
        ({"kind": "mstsgm", "tcn": 1}, "'tcn' in a mstsgm network's config is true or false, not 1"),
        ({"kind": "mstsgm", "temporal": "both"}, "one of dense, depthwise, not 'both'"),
        ({"kind": "mstsgm", "widths": [16, "32", 64]}, "a list of whole numbers"),
        ({"kind": "mstsgm", "widths": [16, 32]}, "widths needs 3 numbers"),
        ({"kind": "mstsgm", "widths": [3, 32, 64]}, "larger than 3"),
        ({"kind": "mstsgm", "frame_shrink": 5}, "divide by frame_shrink = 5"),
        ({"kind": "mstsgm", "frames": 0}, "at least 1"),
        ({"kind": "mstsgm", "encoder_blocks": [1, -1, 1]}, "at least 0"),
        ({"kind": "mimo-unet", "width": 3}, "even and at least 4"),
        ({"kind": "mimo-unet", "blocks": 0}, "at least 1"),
    ],
)
def test_a_wrong_config_is_one_clear_line(content: dict[str, object], message: str) -> None:
    with pytest.raises(DeblurError, match=message) as caught:
        config_from_dict(content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("slip", [{"temporal": "depth-wise"}, {"fusion": "sum"}])
def test_a_slip_in_a_name_builds_no_other_network(slip: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"is one of \w+, \w+, not '(depth-wise|sum)'"):
        MSTSGMConfig(**slip)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DeblurError, match="unknown network 'unet'; known: mstsgm, mstsgm-star, mstsgm-nano"):
        named_config("unet")
