from __future__ import annotations

import pytest
import torch

from deblur.losses import LossWeights, content_loss, frequency_loss, restoration_loss, smoothness_loss
from deblur.metrics import psnr
from deblur.networks import Restored, picture_pyramid
from deblur.train import build_parser


@pytest.fixture
def sharp() -> torch.Tensor:
    return torch.rand(2, 3, 32, 48)


def test_every_loss_is_zero_for_a_perfect_answer_and_positive_otherwise(sharp):
    truth = picture_pyramid(sharp)
    worse = [picture * 0.9 for picture in truth]
    for loss in (content_loss, frequency_loss):
        assert loss(truth, truth).item() == pytest.approx(0, abs=1e-6)
        assert loss(worse, truth).item() > 1e-3
        assert loss(worse, truth).item() == pytest.approx(loss(truth, worse).item(), rel=1e-5)


def test_content_is_the_sum_over_scales_of_the_mean_difference(sharp):
    truth = picture_pyramid(sharp)
    assert content_loss([picture + 0.25 for picture in truth], truth).item() == pytest.approx(3 * 0.25, rel=1e-5)


def test_frequency_of_a_constant_offset_is_the_zero_frequency_alone(sharp):
    # The transform of a constant c over H x W pixels is c*H*W in one of its H*W places.
    assert frequency_loss([sharp + 0.1], [sharp]).item() == pytest.approx(0.1, rel=1e-3)


@pytest.mark.parametrize("width", [48, 47])
def test_frequency_is_the_mean_over_all_frequencies(sharp, width):
    one, other = sharp[..., :width], torch.rand(2, 3, 32, width)
    expected = torch.fft.fft2(one - other).abs().mean().item()
    assert frequency_loss([one], [other]).item() == pytest.approx(expected, rel=1e-5)
    assert frequency_loss([one.mT], [other.mT]).item() == pytest.approx(expected, rel=1e-5)


def test_smoothness_is_zero_for_still_frames_only():
    still = torch.rand(2, 1, 4, 8, 8).expand(2, 5, 4, 8, 8)
    assert smoothness_loss([still]).item() == 0
    rising = torch.arange(5.0).view(1, 5, 1, 1, 1).expand(2, 5, 4, 8, 8) * 0.5
    assert smoothness_loss([rising, rising]).item() == pytest.approx(2 * 0.25)


def test_weights_scale_terms_and_zero_leaves_them_out(sharp):
    frames = (torch.rand(2, 3, 2, 8, 8),)
    restored = Restored(tuple(picture * 0.8 for picture in picture_pyramid(sharp)), frames)
    one = restoration_loss(restored, sharp, LossWeights(1, 1, 1))
    two = restoration_loss(restored, sharp, LossWeights(2, 0, 3))
    assert set(one) == {"content", "frequency", "smoothness"}
    assert set(two) == {"content", "smoothness"}
    assert two["content"].item() == pytest.approx(2 * one["content"].item())
    assert two["smoothness"].item() == pytest.approx(3 * one["smoothness"].item())
    two_frames = Restored(restored.pictures, (frames[0][:, :2],))
    assert restoration_loss(two_frames, sharp, LossWeights())["smoothness"] > 0
    for none in (None, (frames[0][:, :1],)):
        assert "smoothness" not in restoration_loss(Restored(restored.pictures, none), sharp, LossWeights())


def test_terms_weigh_what_they_do_in_the_paper():
    assert LossWeights() == LossWeights(content=1, frequency=0.09, smoothness=0.01)
    options = build_parser().parse_args([])
    assert LossWeights(options.content, options.frequency, options.smoothness) == LossWeights()


def test_losses_have_finite_gradients_at_a_perfect_answer(sharp):
    answer = sharp.clone().requires_grad_()
    restored = Restored(picture_pyramid(answer), None)
    torch.stack(list(restoration_loss(restored, sharp, LossWeights()).values())).sum().backward()
    assert torch.isfinite(answer.grad).all()


def test_psnr_rounds_to_eight_bits_and_is_infinite_for_equal_pictures(sharp):
    black, grey = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 10 / 255)
    assert psnr(grey, black).item() == pytest.approx(10 * torch.log10(torch.tensor(255.0**2 / 100)).item(), abs=1e-4)
    assert torch.isinf(psnr(grey, grey + 0.4 / 255)).item()
    assert psnr(torch.full((1, 3, 4, 4), 2.0), torch.ones(1, 3, 4, 4)).isinf().item()
    with pytest.raises(ValueError, match="shape"):
        psnr(black, black[..., :3])
