"""What is known of each data set: its choices of blur, its splits and its published size."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA_SETS = ("gopro", "hide", "realblur", "reds", "pairs", "sharp")
SPLITS = ("train", "val", "test")
LINKS = ("symlink", "hard", "copy")

# The choices of --blur, the default first. GoPro's two blurs assume a linear response of the camera, so that encoded
# frames are averaged as they are, or one of gamma 2.2; RealBlur's two subsets are camera JPEGs and raw pictures.
BLUR_CHOICES: Mapping[str, tuple[str, ...]] = {"gopro": ("linear", "gamma"), "realblur": ("J", "R")}
# What the manifest calls the blur of sets that leave no choice; that of pairs is for the user to name.
BLUR_LABELS: Mapping[str, str | None] = {"hide": "hide", "reds": "reds", "pairs": "unnamed", "sharp": None}

# Pairs by split: Nah et al. 2017, Shen et al. 2019, Rim et al. 2020, and the page of REDS (Nah et al. 2019).
PUBLISHED_COUNTS: Mapping[str, Mapping[str, int]] = {
    "gopro": {"train": 2103, "test": 1111},
    "hide": {"train": 6397, "test": 2025},
    "realblur": {"train": 3758, "test": 980},
    "reds": {"train": 24000, "val": 3000},
}


def blur_label(data_set: str, blur: str | None) -> str | None:
    """The name of the blur in the manifest: what was asked for, else the data set's default."""
    if blur is not None:
        return blur
    return BLUR_CHOICES[data_set][0] if data_set in BLUR_CHOICES else BLUR_LABELS[data_set]
