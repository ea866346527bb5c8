"""What is known of a folder of pictures before they are measured: that it is not blurred, its data set and its blur."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from deblur.errors import DeblurError
from deblur.picture_folders import refuse_pairs
from deblur.prepare.placing import MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from deblur.picture_folders import Sides


def refuse_blurred(folder: Path, files: Iterable[Path]) -> None:
    """Refuse pictures below a folder of ``--sharp`` that are to be blurred, where some are blurred already.

    Raises:
        DeblurError: by where they lie they are, beside sharp ones.
    """

    def instead(sides: Sides) -> str:
        return f"--sharp {sides.sharp}, or score its own blur by --blurred {sides.blurred}"

    refuse_pairs(folder, files, f"--sharp {folder}", instead)


class Prepared(NamedTuple):
    """What blurred pictures are, where anybody says it: GoPro's come with a linear blur or one of gamma 2.2."""

    data_set: str | None
    blur: str | None


def from_manifest(blurred: Path, named: str | None) -> Prepared:
    """Data set and blur by the manifest that ``deblur.prepare`` wrote above the folder, where there is one.

    Args:
        blurred: folder of blurred pictures.
        named: what the user calls the blur, which the manifest does not overrule.

    Raises:
        DeblurError: there is a file of the manifest's name, and it is none.
    """
    for folder in blurred.resolve().parents[:2]:
        path = folder / MANIFEST
        if path.is_file():
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
                return Prepared(content["data_set"], named or content["blur"])
            except (ValueError, KeyError, TypeError):
                raise DeblurError(
                    f"{path} is not a manifest of deblur.prepare; move it, or name the blur by --data-blur elsewhere"
                ) from None
    return Prepared(None, named)
