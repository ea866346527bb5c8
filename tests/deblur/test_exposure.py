"""The exposure guide: spectra, kernels, inverse filters, the estimator and networks that it guides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data as photographs
from torch._subclasses.fake_tensor import FakeTensorMode

from deblur.blur import BlurSpec, Motion, draw_motion, expose, generator_for, parse_blur
from deblur.blur.motion import Region, still
from deblur.blur.rendering import convolve
from deblur.blur.sensor import to_linear, to_srgb
from deblur.borders import continued_index, mirrored_index
from deblur.exposure.calibration import look
from deblur.exposure.deconvolution import (
    CALM,
    ESTIMATED,
    KNOWN,
    Deconvolution,
    Regularization,
    _laid_windows,
    _spans,
    blur,
    density,
)
from deblur.exposure.kernels import (
    KERNEL,
    Belief,
    expected_error,
    half_turned,
    kernels_along,
    known,
    left_share,
    sharpness,
    spread,
    together,
    true_kernels,
)
from deblur.exposure.spectra import LAGS, REGION, Regions, lag_maps, luma
from deblur.losses import estimator_loss
from deblur.metrics import psnr
from deblur.networks import MIMOUNetConfig, MSTSGMConfig, build
from deblur.networks.guided import (
    CORRECTIONS,
    FILTERED,
    GUIDE_CHANNELS,
    Exposure,
    ExposureGuide,
    GuidedNetwork,
    InverseFilter,
    guided_config,
    without_guide,
)
from deblur.networks.kernel_estimator import Estimated, KernelEstimator, KernelEstimatorConfig

SMALL_ESTIMATOR = KernelEstimatorConfig(widths=(4, 6, 8, 10))
SMALL_NETWORK = MSTSGMConfig(
    widths=(16, 20, 24), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), frames=2, shuffle=2, temporal="depthwise"
)
CENTER = KERNEL // 2


def photograph(height: int, width: int) -> torch.Tensor:
    """A sharp grey photograph (1, 1, H, W) in [0, 1]."""
    picture = torch.from_numpy(photographs.camera()[:height, :width].copy())
    return picture.float().view(1, 1, *picture.shape) / 255


def path_kernel(*points: tuple[float, float]) -> torch.Tensor:
    """(48, 48) kernel of a path through points (x, y), even in time."""
    path = np.array([*points], float)
    path = np.column_stack([path - path.mean(0), np.zeros((len(path), 2))])
    motion = Motion(path, np.full(len(path), 1 / len(path)), (0.0, 0.0))
    return torch.from_numpy(motion.kernel_at(0, 0, KERNEL))


HOOK = path_kernel(*((x, 0) for x in range(9)), *((8, y) for y in range(1, 4)), (8, 4), (8, 4))


def blurred_by(picture: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    odd = F.pad(kernel, (0, 1, 0, 1))  # convolve wants an odd side; the centre stays at [24, 24]
    return convolve(picture, odd.expand(len(picture), -1, -1))


def test_lag_maps_look_the_same_from_both_sides_and_show_the_kernels_reach():
    sharp = photograph(300, 400)
    maps = lag_maps(blurred_by(sharp, HOOK)).maps
    assert maps.shape[2:] == (6, LAGS, LAGS)
    turned = maps.flip(-2, -1).roll((1, 1), (-2, -1))
    # The outermost row and column have no partner on the other side.
    torch.testing.assert_close(turned[..., 1:, 1:], maps[..., 1:, 1:], rtol=0, atol=1e-3)
    flat = path_kernel(*((x, 0) for x in range(11)))
    still_map, moving_map = (lag_maps(blurred_by(sharp, k)).maps[0, 0, 1] for k in (path_kernel((0, 0)), flat))
    # Vertical gradients that were smeared to the side are alike 6 pixels to the side.
    assert moving_map[LAGS // 2, LAGS // 2 + 6] > still_map[LAGS // 2, LAGS // 2 + 6] + 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (60, 700), (256, 256), (480, 640), (720, 1280)])
def test_regions_lie_in_the_picture_row_by_row(height, width):
    regions = lag_maps(torch.rand(2, 1, height, width))
    assert regions.maps.shape == (2, len(regions.rows) * len(regions.columns), 6, LAGS, LAGS)
    assert regions.maps.isfinite().all()
    for places, side in ((regions.rows, height), (regions.columns, width)):
        assert list(places) == sorted(set(places))
        assert 0 <= places[0] <= places[-1] <= max(side, 2)
        if side > 2 * REGION:
            assert places[0] <= REGION
            assert places[-1] >= side - REGION


def test_one_pictures_maps_do_not_depend_on_the_others():
    pictures = torch.rand(3, 1, 300, 260)
    together = lag_maps(pictures).maps
    torch.testing.assert_close(together[1:2], lag_maps(pictures[1:2]).maps)


def test_lights_are_looked_at_one_by_one():
    encoded = photograph(300, 260)
    lights = torch.cat([encoded, to_linear(encoded)], 1)
    together = lag_maps(lights).maps.unflatten(2, (2, 2, 3))  # region and whole, encoded and linear, three maps
    for index in range(2):
        alone = lag_maps(lights[:, index : index + 1]).maps.unflatten(2, (2, 3))
        torch.testing.assert_close(together[:, :, :, index], alone, rtol=1e-4, atol=1e-4)


def test_maps_are_such_as_released_estimators_learned_to_read():
    # Other numbers need estimators that are trained anew.
    maps = lag_maps(blurred_by(photograph(300, 400), HOOK)).maps[0, 0, :, LAGS // 2]
    assert maps[[0, 1, 3, 4], LAGS // 2].tolist() == pytest.approx([9.61, 8.73, 11.61, 14.71], abs=0.05)
    assert maps[[2, 5], LAGS // 2].tolist() == [0, 0]
    assert maps[[2, 5], LAGS // 2 + 1].tolist() == pytest.approx([52.5, 51.5], abs=0.3)


def test_a_level_does_not_matter_to_maps():
    dim = photograph(300, 260) * 0.5
    torch.testing.assert_close(lag_maps(dim + 0.4).maps, lag_maps(dim).maps, rtol=1e-2, atol=1e-2)


def test_a_half_turn_twice_is_none_and_keeps_the_centre():
    assert torch.equal(half_turned(half_turned(HOOK)), HOOK)
    assert not torch.equal(half_turned(HOOK), HOOK)
    point = path_kernel((0, 0))
    assert point[CENTER, CENTER] == 1
    assert torch.equal(half_turned(point), point)


def test_spread_is_the_root_mean_square_of_the_path():
    line = path_kernel(*((x, 0) for x in range(-6, 7)))
    assert float(spread(line)) == pytest.approx(np.std(np.arange(13)), abs=1e-3)
    assert float(spread(path_kernel((0, 0)))) == pytest.approx(0, abs=1e-3)
    both = torch.stack([line, path_kernel((0, 0))]).unsqueeze(0)
    assert Exposure(known(both), (20.0,), (20.0, 60.0)).spread.tolist() == pytest.approx([np.std(np.arange(13)) / 2])


@pytest.mark.parametrize(("shares", "blurred"), [((0.5, 0.5), False), ((0.45, 0.45, 0.1), True)])
def test_light_in_two_pixels_is_sharp_and_what_reaches_further_is_blurred_if_at_one_place_only(shares, blurred):
    kernel = torch.zeros(KERNEL, KERNEL)
    kernel[CENTER, CENTER : CENTER + len(shares)] = torch.tensor(shares)
    both = torch.stack([path_kernel((0, 0)), kernel]).unsqueeze(0)
    assert Exposure(known(both), (20.0,), (20.0, 60.0)).blurred.tolist() == [blurred]


def test_true_kernels_are_those_of_the_motion_at_the_regions():
    spec = parse_blur("shake:16")
    motion = draw_motion(spec, generator_for(spec, 0, "one"), 640, 480)
    regions = lag_maps(torch.rand(1, 1, 480, 640))
    kernels = true_kernels([motion], regions)
    assert kernels.shape == (1, len(regions.rows) * len(regions.columns), KERNEL, KERNEL)
    last = motion.kernel_at(regions.columns[-1], regions.rows[-1], KERNEL)
    torch.testing.assert_close(kernels[0, -1], torch.from_numpy(last))


def test_a_region_that_half_moves_has_half_the_kernel():
    regions = lag_maps(torch.rand(1, 1, 256, 256))
    path = np.column_stack([np.linspace(-5, 5, 11), np.zeros((11, 3))])
    weights = np.full(11, 1 / 11)
    place = (regions.columns[0] - 4000, regions.rows[0])
    half = Motion(path, weights, (128, 128), Region(place, (4000, 4000), 0.0, moves=True))
    kernel = true_kernels([half], regions)[0, 0]
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-5)
    assert float(kernel[CENTER, CENTER]) == pytest.approx(0.5 + 0.5 / 11, abs=0.02)


def test_expected_error_is_the_same_along_both_axes():
    line = torch.zeros(48, 48)
    line[24, 18:31] = 1 / 13
    point = torch.zeros(48, 48)
    point[24, 24] = 1
    across, down = (expected_error(known(point), each).item() for each in (line, line.mT))
    assert across == pytest.approx(down, rel=1e-5)


def test_expected_error_ranks_kernels_as_deconvolution_does():
    point = path_kernel((0, 0))
    perfect, none, turned = (float(expected_error(known(each), HOOK)) for each in (HOOK, point, half_turned(HOOK)))
    assert perfect < none < turned
    assert float(left_share(known(HOOK), HOOK)) < 0.5 * float(left_share(known(point), HOOK))
    estimate = HOOK.clone().requires_grad_()
    expected_error(known(estimate), HOOK).backward()
    assert estimate.grad.isfinite().all()


def test_errors_are_weighed_as_those_that_released_estimators_learned_by():
    # Other numbers need estimators that are trained anew.
    vague = (HOOK + path_kernel(*((0, y) for y in range(9)))) / 2
    beliefs = known(HOOK), known(path_kernel((0, 0))), Belief(vague, HOOK)
    errors, shares = ([each(belief, HOOK).item() for belief in beliefs] for each in (expected_error, left_share))
    assert errors == pytest.approx([0.1927, 0.6498, 0.5022], abs=2e-4)
    assert shares == pytest.approx([0.2234, 0.4924, 0.4285], abs=2e-4)


def test_a_vague_belief_does_less_harm_when_it_knows_that_it_is_vague():
    # Two paths may have been; the filter of their mean alone amplifies what it does not know the phase of.
    other = path_kernel(*((0, y) for y in range(9)))
    mean = (HOOK + other) / 2
    vague, sure = expected_error(Belief(mean, HOOK), HOOK), expected_error(known(mean), HOOK)
    assert vague < sure


def restored_by(filters: Deconvolution, strength: float) -> torch.Tensor:
    return filters.restore(filters.gain(Regularization(strength, 1e-5)))


def test_the_true_kernel_restores_a_picture_and_the_turned_one_harms_it():
    sharp = photograph(256, 330)
    blurred = (blurred_by(sharp, HOOK) * 255).round() / 255
    kernels = known(HOOK.expand(1, 4, -1, -1))
    places = [64.0, 192.0], [82.0, 246.0]
    right, wrong = (
        restored_by(Deconvolution(blurred, each, *places), 0.01) for each in (kernels, kernels.changed(half_turned))
    )
    assert psnr(right, sharp).item() > psnr(blurred, sharp).item() + 4
    assert psnr(wrong, sharp).item() < psnr(blurred, sharp).item()


def test_kernels_that_are_known_stay_so_in_a_batch_and_in_a_part_of_it():
    places = (64.0, 192.0), (82.0, 246.0)
    one = Exposure(known(HOOK.expand(1, 4, -1, -1)), *places, certain=True)
    batch = together([one, one])
    for exposure in (batch, batch.only(torch.tensor([True, False]))):
        assert exposure.kernels.power is exposure.kernels.mean  # no second Fourier transform
    vague = one._replace(kernels=Belief(one.kernels.mean, one.kernels.mean.roll(1, -1)))
    both = together([one, vague]).kernels
    assert torch.equal(both.power, torch.cat([one.kernels.power, vague.kernels.power]))


def test_blur_in_windows_is_convolution_with_each_places_kernel():
    sharp = photograph(256, 330)
    inner = (..., slice(30, -30), slice(30, -30))
    blurred = blur(sharp, HOOK.expand(1, 4, -1, -1), [64.0, 192.0], [82.0, 246.0])
    torch.testing.assert_close(blurred[inner], blurred_by(sharp, HOOK)[inner], rtol=0, atol=1e-4)
    halves = torch.stack([path_kernel((0, 0)), HOOK]).unsqueeze(0)
    blurred = blur(sharp, halves, [128.0], [82.0, 246.0])
    torch.testing.assert_close(blurred[..., :130], sharp[..., :130], rtol=0, atol=1e-4)
    torch.testing.assert_close(blurred[inner][..., 180:], blurred_by(sharp, HOOK)[inner][..., 180:], rtol=0, atol=1e-4)


def test_windows_without_numbers_are_not_kept():
    """As of torch.export, and where memory is only reckoned."""
    light, kernels, places = torch.rand(1, 1, 90, 200), HOOK.expand(1, 1, -1, -1), ([45.0], [100.0])
    blurred = blur(light, kernels, *places)
    for kept in (False, True):
        if not kept:
            _laid_windows.cache_clear()
        with FakeTensorMode() as mode:
            reckoned = blur(mode.from_tensor(light), mode.from_tensor(kernels), *places)
        assert reckoned.shape == blurred.shape
        assert torch.equal(blur(light, kernels, *places), blurred)


def test_windows_are_laid_once_for_pictures_alike_also_where_gradients_are_followed(monkeypatch):
    sent, kernels = [], torch.stack([path_kernel((0, 0)), HOOK]).unsqueeze(0)
    monkeypatch.setattr("deblur.exposure.deconvolution._spans", lambda *given: sent.append(given) or _spans(*given))
    _laid_windows.cache_clear()
    light, places = torch.rand(2, 1, 90, 200), ([45.0], [50.0, 150.0])
    with torch.inference_mode():
        first = blur(light, kernels, *places)
    kernels.requires_grad_()
    again = blur(light, kernels, *places)
    again.square().sum().backward()
    assert torch.equal(first, again)
    assert len(sent) == 2, "rows and columns"
    assert kernels.grad.abs().sum() > 0
    blur(light, kernels, [40.0], places[1])
    blur(light[..., :180], kernels, *places)
    assert len(sent) == 6


def test_turned_filters_are_those_of_turned_kernels_for_the_pictures_and_channels_asked_for():
    pictures = torch.rand(2, 3, 100, 120)
    kernels, places = known(HOOK.expand(2, 1, -1, -1)), ([50.0], [60.0])
    filters, others = (Deconvolution(pictures, each, *places) for each in (kernels, kernels.changed(half_turned)))
    gain = filters.gain(ESTIMATED)
    found = filters.restore(gain, torch.tensor([False, True]), slice(1, 2))
    torch.testing.assert_close(found[1], others.restore(gain)[1, 1:2], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[0], filters.restore(gain)[0, 1:2])


def test_a_floor_damps_what_the_blur_takes_away_and_leaves_the_rest():
    filters = Deconvolution(torch.rand(1, 1, 64, 64), known(HOOK.expand(1, 1, -1, -1)), [32.0], [32.0])
    without, floored = (filters.gain(Regularization(0.0, floor)) for floor in (1e-5, 0.02))
    torch.testing.assert_close(floored[..., 0, 0], without[..., 0, 0])
    power = 1 / without
    kept = floored / without
    assert kept[power > 0.9].min() > 0.99
    assert kept[power < 0.01].max() < 0.4


def test_a_belief_that_is_less_sure_than_its_mean_amplifies_nothing():
    point = path_kernel((0, 0))
    # The mean erases nothing, so a filter that forgot its power would divide by what the spread erases.
    sure = Belief(point.expand(1, 1, -1, -1), HOOK.expand(1, 1, -1, -1))
    filters = Deconvolution(torch.rand(1, 1, 64, 64), sure, [32.0], [32.0])
    assert filters.gain(Regularization(0.0, 1e-6)).max() < 1.01


def test_filters_are_as_strong_as_those_that_released_networks_learned_with():
    # Another number needs networks, estimators and critics that are trained anew.
    assert [tuple(each) for each in (ESTIMATED, KNOWN, CALM)] == [(0.02, 1e-5), (0.003, 0.005), (0.02, 0.03)]


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [(3, 5, [1.5], [2.5]), (40, 300, [20.0], [50.0, 150.0, 250.0]), (200, 90, [50.0, 150.0], [20.0, 70.0])],
)
def test_windows_fade_together_without_a_seam(height, width, rows, columns):
    picture = torch.rand(2, 3, height, width)
    kernels = known(path_kernel((0, 0)).expand(2, len(rows) * len(columns), -1, -1))
    filters = Deconvolution(picture, kernels, rows, columns)
    same, less = (restored_by(filters, strength) for strength in (0.0, 1.0))
    torch.testing.assert_close(same, picture, rtol=0, atol=1e-3)
    assert less.shape == picture.shape


def test_several_windows_restore_what_one_would():
    blurred = blurred_by(photograph(256, 330), HOOK)
    places = {1: ([128.0], [165.0]), 4: ([64.0, 192.0], [82.0, 246.0])}
    several = [Deconvolution(blurred, known(HOOK.expand(1, n, -1, -1)), *places[n]) for n in (1, 4)]
    one, four = (filters.restore(filters.gain(CALM)) for filters in several)
    torch.testing.assert_close(four, one, rtol=0, atol=0.006)


def test_a_long_blur_does_not_ring_where_a_window_wraps_around():
    long = path_kernel(*((x, 0) for x in range(41)))
    # Nothing but a slope, dark on the left and bright on the right: where these meet is the one edge that could ring.
    slope = torch.linspace(-0.2, 1.2, 280).clamp(0.05, 0.95).expand(1, 1, 120, 280)
    for wide in (slope, slope.flip(-1)):
        blurred, picture = blurred_by(wide, long)[..., 60:-60], wide[..., 60:-60]
        filters = Deconvolution(blurred, known(long.expand(1, 1, -1, -1)), [60.0], [80.0])
        for regularization, most in ((KNOWN, 0.06), (CALM, 0.035)):
            restored = filters.restore(filters.gain(regularization))
            assert (restored - picture).square().mean().sqrt() < most


def test_what_a_border_cut_off_is_not_taken_for_the_pictures_mirror_image(monkeypatch):
    inner = (..., slice(32, -32), slice(32, -32))
    sharp, blurred = (wide[inner] for wide in (photograph(330, 400), blurred_by(photograph(330, 400), HOOK)))
    outer = torch.ones_like(sharp, dtype=torch.bool)
    outer[..., 12:-12, 12:-12] = False
    errors = []
    for beyond in (continued_index, mirrored_index):
        monkeypatch.setattr("deblur.exposure.deconvolution.continued_index", beyond)
        filters = Deconvolution(blurred, known(HOOK.expand(1, 1, -1, -1)), [133.0], [168.0])
        errors.append((filters.restore(filters.gain(CALM)) - sharp)[outer].square().mean().item())
    before = (blurred - sharp)[outer].square().mean().item()
    assert errors[0] < 0.9 * errors[1] < before


def test_density_is_the_mean_of_gradients_over_their_root_mean_square_picture_by_picture():
    edges = torch.zeros(3, 1, 24, 32)
    edges[0, ..., 12:] = 0.5
    edges[1, ..., 7:, :] = 0.5
    edges[2] = torch.rand(1, 24, 32, generator=torch.Generator().manual_seed(0))
    expected = []
    for picture in edges[:, 0].double():
        both = torch.cat([picture.diff(dim=axis).abs().flatten() for axis in (0, 1)])
        expected.append(both.sum() / (picture.numel() * both.square().sum()).sqrt())
    torch.testing.assert_close(density(edges), torch.stack(expected).float())
    torch.testing.assert_close(torch.cat([density(each[None]) for each in edges]), density(edges))
    # An edge of twice the height is as sparse, and noise is not sparse at all.
    torch.testing.assert_close(density(2 * edges), density(edges))
    assert density(edges)[2] > 4 * density(edges)[:2].max()


def test_each_region_is_restored_by_its_own_kernel():
    sharp = photograph(256, 512)
    blurred = torch.cat([sharp[..., :256], blurred_by(sharp, HOOK)[..., 256:]], -1)
    kernels = known(torch.stack([path_kernel((0, 0)), HOOK]).unsqueeze(0))
    restored = restored_by(Deconvolution(blurred, kernels, [128.0], [128.0, 384.0]), 0.003)
    assert psnr(restored[..., :200], sharp[..., :200]).item() > 35
    before, after = (psnr(each[..., 312:], sharp[..., 312:]).item() for each in (blurred, restored))
    assert after > before + 4


def estimator_batch() -> tuple[torch.Tensor, list[Motion]]:
    """Blurred (2, 3, 320, 330) in [0, 1], and their exposures."""
    sharp = torch.from_numpy(photographs.astronaut()[:320, :330].copy()).permute(2, 0, 1).expand(2, -1, -1, -1)
    spec = BlurSpec("shake", 16)
    motions = [draw_motion(spec, generator_for(spec, 0, name), 330, 320) for name in "ab"]
    return expose(sharp.contiguous(), motions, [spec] * 2, [1, 2]).float() / 255, motions


def test_every_part_of_the_estimator_learns():
    blurred, motions = estimator_batch()
    estimator = KernelEstimator(SMALL_ESTIMATOR)
    estimated = estimator(blurred)
    for logarithms in estimated.log_kernels:
        torch.testing.assert_close(logarithms.exp().sum((-2, -1)), torch.ones(2, logarithms.shape[1]))
    terms = estimator_loss(estimated, motions)
    assert set(terms) == {"divergence", "left"}
    torch.stack(list(terms.values())).sum().backward()
    without = [name for name, value in estimator.named_parameters() if value.grad is None or not value.grad.any()]
    assert without == []


def test_the_loss_is_least_for_the_true_kernels_either_way_round():
    blurred, motions = estimator_batch()
    estimated = KernelEstimator(SMALL_ESTIMATOR)(blurred)
    truth = true_kernels(motions, estimated.regions)
    one_turned = torch.stack([truth[0], half_turned(truth[1])])
    right, turned, mixed, other = (
        estimator_loss(estimated._replace(log_kernels=known((each + 1e-12).log())), motions)
        for each in (truth, half_turned(truth), one_turned, truth.roll(1, 0))
    )
    assert right["divergence"] < 0.01
    torch.testing.assert_close(right, turned)
    assert mixed["divergence"] < 0.01, "each picture by itself"
    assert other["divergence"] > right["divergence"] + 1
    assert other["left"] > right["left"]
    with pytest.raises(ValueError, match="exposures that are known"):
        estimator_loss(estimated, [motions[0], None])


def test_what_deconvolution_leaves_counts_six_times_and_is_that_of_mean_and_power():
    _, motions = estimator_batch()
    regions = Regions(torch.zeros(2, 1, 6, LAGS, LAGS), (160.0,), (165.0,))
    truth = true_kernels(motions, regions)
    point = torch.zeros_like(truth)
    point[..., CENTER, CENTER] = 1
    # A filter with the power of a point in it sharpens less than one of the mean alone.
    mean, power = ((each + 1e-6) / (each + 1e-6).sum((-2, -1), keepdim=True) for each in ((truth + point) / 2, point))
    terms = estimator_loss(Estimated(Belief(mean.log(), power.log()), regions), motions)
    divergence = (torch.special.xlogy(truth, truth) - truth * mean.log()).sum((-2, -1)).mean()
    left = left_share(Belief(mean, power), truth).mean()
    torch.testing.assert_close(terms, {"divergence": divergence, "left": 6 * left})


@pytest.mark.parametrize("way", [HOOK, half_turned(HOOK)], ids=["right", "turned"])
def test_the_guide_corrects_brightness_whichever_way_round_its_kernels_come(way):
    sharp = photograph(256, 256).expand(1, 3, -1, -1)
    blurred = (blurred_by(sharp, HOOK) * 255).round() / 255
    guide = ExposureGuide(KernelEstimator(SMALL_ESTIMATOR)).eval()
    channels = guide(blurred, Exposure(known(way.expand(1, 1, -1, -1)), (128.0,), (128.0,)))
    assert channels.shape == (1, GUIDE_CHANNELS, 256, 256)
    # Encoded values were blurred here: the filters in encoded values are right.
    before = psnr(blurred, sharp).item()
    in_light, in_values, other_way = (psnr(blurred + channels[:, i : i + 1], sharp).item() for i in range(CORRECTIONS))
    assert in_values > before + 3
    assert in_values > in_light
    assert other_way < before
    torch.testing.assert_close(channels[:, CORRECTIONS], (spread(HOOK) / 8).expand(1, 256, 256))


def small_guide() -> ExposureGuide:
    return ExposureGuide(KernelEstimator(SMALL_ESTIMATOR)).eval()


@pytest.mark.parametrize("way", [HOOK, half_turned(HOOK)], ids=["right", "turned"])
def test_of_averaged_light_the_first_correction_is_right_whichever_way_round_its_kernels_come(way):
    sharp = photograph(200, 260).expand(1, 3, -1, -1)
    blurred = (to_srgb(blurred_by(to_linear(sharp), HOOK)) * 255).round() / 255
    with torch.inference_mode():
        channels = small_guide()(blurred, Exposure(known(way.expand(1, 1, -1, -1)), (100.0,), (130.0,)))
    assert psnr(blurred + channels[:, :1], sharp).item() > psnr(blurred, sharp).item() + 3


def test_corrections_by_known_kernels_are_of_light_of_encoded_values_and_of_these_more_calmly():
    grey = blurred_by(photograph(64, 96), HOOK).view(1, 1, 64, 96)
    x = torch.cat([grey, grey.flip(-1), 1 - grey], 1)  # of colours whose brightness is not the same in both lights
    kernels, linear, encoded = known(HOOK.expand(1, 1, -1, -1)), luma(to_linear(x)), luma(x)
    with torch.inference_mode():
        corrections = small_guide()(x, Exposure(kernels, (32.0,), (48.0,), certain=True))[:, :CORRECTIONS]

    def restored(light: torch.Tensor, regularization: Regularization) -> torch.Tensor:
        filters = Deconvolution(light, kernels, [32.0], [48.0])
        return filters.restore(filters.gain(regularization))

    of_light = to_srgb(restored(linear, KNOWN)) - to_srgb(linear)
    of_encoded = [restored(encoded, each).clamp(0, 1) - encoded for each in (KNOWN, CALM)]
    torch.testing.assert_close(corrections, torch.cat([of_light, *of_encoded], 1), rtol=0, atol=1e-5)


@pytest.mark.parametrize("certain", [True, False])
def test_corrections_of_encoded_values_leave_no_brightness_below_black_or_above_white(certain):
    bars = torch.zeros(1, 3, 64, 96)
    bars[..., 10:54, 30:60] = 1
    x = blurred_by(bars, HOOK)
    with torch.inference_mode():
        channels = small_guide()(x, Exposure(known(HOOK.expand(1, 1, -1, -1)), (32.0,), (48.0,), certain=certain))
    corrected = luma(x) + channels[:, 1:CORRECTIONS]
    assert -1e-6 < corrected.min() < 0.01
    assert 0.99 < corrected.max() < 1 + 1e-6


def test_maps_of_blur_lie_where_their_kernels_are_for():
    lines = torch.stack([path_kernel(*((x, 0) for x in range(length))) for length in (3, 5, 9, 13, 17, 21)])
    exposure = Exposure(known(lines.unsqueeze(0)), (16.0, 48.0), (16.0, 48.0, 80.0), certain=True)
    with torch.inference_mode():
        channels = small_guide()(torch.rand(1, 3, 64, 96), exposure)
    corners = channels[0, CORRECTIONS:, [0, 0, -1, -1], [0, -1, 0, -1]]
    expected = torch.stack([spread(lines) / 8, sharpness(lines)])[:, [0, 2, 3, 5]]
    torch.testing.assert_close(corners, expected)


def test_the_guide_alone_restores_by_the_mean_of_what_both_lights_say():
    alone = InverseFilter(KernelEstimator(SMALL_ESTIMATOR)).eval()
    x = blurred_by(photograph(64, 96), HOOK).expand(1, 3, -1, -1)
    with torch.inference_mode():
        channels = alone.guide(x)
        torch.testing.assert_close(alone(x).picture, x + channels[:, :FILTERED].mean(1, keepdim=True))


@pytest.mark.parametrize("network", [SMALL_NETWORK, MIMOUNetConfig(width=8, blocks=1)], ids=["mstsgm", "mimo"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 50), (300, 210)])
def test_any_network_can_be_guided_at_any_size(network, height, width):
    config = guided_config(network)
    assert without_guide(config.network) == network
    restored = build(config).eval()(torch.rand(2, 3, height, width))
    assert [tuple(each.shape[2:]) for each in restored.pictures] == [
        (-(-height // k), -(-width // k)) for k in (1, 2, 4)
    ]


def test_the_guide_sees_the_context_and_the_network_does_not():
    network = build(guided_config(SMALL_NETWORK)).eval()
    x = torch.rand(1, 3, 96, 112)
    with torch.inference_mode():
        inner = network(x, context=16).picture
        guide = network.guide(x)[..., 16:-16, 16:-16]
        torch.testing.assert_close(inner, network(x[..., 16:-16, 16:-16], guide).picture)


def test_the_guide_is_made_in_full_precision_whatever_the_network_computes_in():
    network = build(guided_config(SMALL_NETWORK)).eval()
    x = torch.rand(1, 3, 64, 80)
    guides = []
    network.network.register_forward_pre_hook(lambda _, given: guides.append(given[1]))
    with torch.inference_mode():
        network(x)
        with torch.autocast("cpu", torch.bfloat16):
            network(x)
    assert torch.equal(*guides)


def test_autocast_around_it_changes_nothing_that_a_calibration_sees():
    estimator = KernelEstimator(KernelEstimatorConfig(widths=(4, 6, 8, 10))).eval()
    x = torch.rand(1, 3, 64, 80)
    expected = look(estimator, x, 300, (0, 0.02)).logarithms
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(look(estimator, x, 300, (0, 0.02)).logarithms, expected)


def test_training_a_guided_network_leaves_its_estimator_alone():
    network = build(guided_config(SMALL_NETWORK))
    assert isinstance(network, GuidedNetwork)
    network(torch.rand(2, 3, 64, 64)).picture.mean().backward()
    assert all(value.grad is None for value in network.guide.parameters())
    assert all(value.grad is not None for value in network.network.up.parameters())


def test_a_picture_is_guided_alike_in_any_batch():
    network = build(guided_config(SMALL_NETWORK)).eval()
    x = torch.rand(3, 3, 70, 90)
    with torch.inference_mode():
        torch.testing.assert_close(network(x).picture[1:2], network(x[1:2]).picture, rtol=0, atol=1e-4)


def test_configs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="takes 2 guide channels, not 5"):
        replace(guided_config(SMALL_NETWORK), network=replace(SMALL_NETWORK, guide_channels=2))
    with pytest.raises(ValueError, match="lights is 3, not 1 or 2"):
        replace(SMALL_ESTIMATOR, lights=3)
    with pytest.raises(ValueError, match="corrections is 3"):
        replace(SMALL_NETWORK, guide_channels=2, corrections=3)
    with pytest.raises(ValueError, match="widths needs 4 numbers"):
        KernelEstimatorConfig(widths=(1, 2, 3))  # type: ignore[arg-type]


def test_no_motion_has_a_point_for_a_kernel():
    regions = lag_maps(torch.rand(1, 1, 300, 300))
    kernels = true_kernels([still(300, 300)], regions)
    assert torch.equal(kernels[..., CENTER, CENTER], torch.ones_like(kernels[..., 0, 0]))


def test_kernels_along_a_path_hold_its_ends():
    path = np.column_stack([np.linspace(-23.5, 23.5, 48), np.zeros((48, 3))])
    kernels = kernels_along(Motion(path, np.full(48, 1 / 48), (31.5, 31.5)), 64, 64).kernels
    places = np.arange(kernels.shape[-1]) - kernels.shape[-1] // 2
    profile = kernels[0, 0].sum(0)
    assert profile[places == 24] == pytest.approx(1 / 96, rel=1e-4)  # half of the last point lies beyond it
    assert profile @ places == pytest.approx(0, abs=1e-4)


def test_how_far_a_kernel_spreads_does_not_hang_on_where_it_lies():
    kernel = torch.zeros(48, 48)
    kernel[24, 20:29] = 1 / 9
    expected = np.sqrt(np.mean(np.arange(-4, 5) ** 2))
    for moved in ((0, 0), (5, -7)):
        assert spread(kernel.roll(moved, (0, 1))).item() == pytest.approx(expected, rel=1e-5)
