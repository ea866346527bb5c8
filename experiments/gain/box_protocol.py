"""The protocol block of a run whose boxes come from files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experiments.gain.protocol import CONFIDENT, detection_protocol, scoring_protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from experiments.gain.settings import Settings


def protocol_of_files(settings: Settings, stems: Iterable[str]) -> dict[str, Any]:
    """The protocol of a run on the pictures ``stems``.

    How its boxes were found nobody knows here, so it equals that of no run with the project's own detectors.
    """
    not_measured = "not measured: the boxes come from files"
    rounding = detection_protocol(settings.image_size)["rounding"]
    return {
        "detection": {"boxes": "from files that another program wrote", "rounding": rounding},
        **scoring_protocol(settings, stems),
        "drawn_confidence": CONFIDENT,
        "restoration": {"psnr": not_measured, "ssim": not_measured},
        "blur": {"specs": [], "seed": None},
    }


def has_boxes_of_files(protocol: Mapping[str, Any]) -> bool:
    """Whether a run's protocol is one of `protocol_of_files`."""
    return "boxes" in protocol["detection"]
