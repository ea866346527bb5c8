"""Classes that a user names, against those that a detector knows."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def check_classes(chosen: Collection[str], detector: str, class_names: Sequence[str]) -> None:
    """Refuse classes that a detector does not know.

    Args:
        chosen: as the user named them.
        detector: its name, for the message.
        class_names: every class of the detector.

    Raises:
        DetectionError: one of them is unknown; the message has names that look like it.
    """
    unknown = [name for name in chosen if name not in class_names]
    if unknown:
        near = difflib.get_close_matches(unknown[0].lower(), class_names, n=3)
        known = f"did you mean {' or '.join(near)}?" if near else f"it knows {', '.join(class_names)}"
        raise DetectionError(f"{detector} has no class {unknown[0]!r}: {known}")
