"""What is shown beyond a picture's border."""

from __future__ import annotations

import pytest
import torch

from deblur.borders import continued_index, mirrored_index, mirrored_window


@pytest.mark.parametrize("kind", [torch.float32, torch.uint8])
@pytest.mark.parametrize("shape", [(7, 9), (3, 7, 9), (2, 3, 7, 1)])
def test_a_window_is_gathered_pixel_by_pixel(shape, kind):
    picture = (torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 255).to(kind)
    # Inside, over each border, folded more than once, and beside the picture altogether.
    for left, top, width, height in ((1, 1, 3, 2), (-2, -3, 5, 9), (4, 3, 9, 8), (-20, -15, 60, 40), (12, 8, 4, 5)):
        rows = mirrored_index(top, top + height, shape[-2])
        columns = mirrored_index(left, left + width, shape[-1])
        expected = picture[..., rows, :][..., columns]
        assert torch.equal(mirrored_window(picture, left, top, width, height), expected)


def test_a_border_goes_on_as_it_ends():
    assert continued_index(-2, 6, 4).tolist() == [0, 0, 0, 1, 2, 3, 3, 3]


def test_a_window_that_lies_inside_is_no_copy():
    picture = torch.zeros(3, 8, 8)
    mirrored_window(picture, 2, 2, 4, 4).add_(1)
    assert picture.sum() == 48
