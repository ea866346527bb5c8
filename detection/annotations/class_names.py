"""From the class names of an annotation file to those of a detector, every change on record."""

from __future__ import annotations

import difflib
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Spelling slips by tidied name. The first is in the VOC files of the MSTSGM authors (as is "person" with an ideographic
# comma, which tidying takes off); the others are common misspellings that are no other class's name.
SLIPS = {
    "personw": "person",
    "peson": "person",
    "preson": "person",
    "bicyle": "bicycle",
    "bycicle": "bicycle",
    "motocycle": "motorcycle",
    "trafficlight": "traffic light",
    "backpak": "backpack",
    "hand bag": "handbag",
    "umberlla": "umbrella",
    "cellphone": "cell phone",
}

# One thing, several names: COCO's, then PASCAL VOC's and others. Used in whichever direction the detector needs.
SYNONYMS = (
    ("motorcycle", "motorbike"),
    ("airplane", "aeroplane"),
    ("tv", "tvmonitor", "tv monitor", "television"),
    ("couch", "sofa"),
    ("potted plant", "pottedplant"),
    ("dining table", "diningtable"),
    ("cell phone", "mobile phone"),
    ("person", "pedestrian"),
)


def tidy(name: str) -> str:
    """A name for comparison: width and case folded, ``_`` and ``-`` as spaces, no punctuation at either end."""
    folded = unicodedata.normalize("NFKC", name).casefold().replace("_", " ").replace("-", " ")
    characters = " ".join(folded.split())
    while characters and not characters[-1].isalnum():
        characters = characters[:-1]
    while characters and not characters[0].isalnum():
        characters = characters[1:]
    return characters


class NameMap:
    """Maps names to those of a detector and counts what it did.

    The order of trial: the very name; the tidied name (`tidy`), where it is one class's alone; the table of slips; the
    table of synonyms. A name that none of these knows is unknown: a near miss is reported as a hint and never taken for
    the real thing.

    Args:
        known: The detector's class names.
    """

    def __init__(self, known: Sequence[str]) -> None:
        self._known = {name: name for name in known}
        self._tidied: dict[str, str | None] = {}  # None stands for several classes, of which none is meant
        for name in self._known:
            if tidied := tidy(name):  # nothing is left of "+", and any other sign would be taken for it
                self._tidied[tidied] = None if tidied in self._tidied else name
        self._mapped: dict[str, dict[str, Any]] = {}
        self._unknown: dict[str, dict[str, Any]] = {}

    def find(self, raw: str) -> str | None:
        """The detector's name for ``raw``, or None; nothing is counted."""
        if raw in self._known:
            return raw
        tidied = tidy(raw)
        tidied = tidied if tidied in self._tidied else SLIPS.get(tidied, tidied)
        if tidied in self._tidied:
            return self._tidied[tidied]
        for group in SYNONYMS:
            if tidied in group:
                return next((self._tidied[other] for other in group if other in self._tidied), None)
        return None

    def resolve(self, raw: str) -> str | None:
        """As `find`, for one annotated object: the mapping, or that there is none, goes on record."""
        name = self.find(raw)
        if name is None:
            self._unknown.setdefault(raw, {"count": 0, "nearest": self._nearest(raw)})["count"] += 1
        elif name != raw:
            self._mapped.setdefault(raw, {"name": name, "count": 0})["count"] += 1
        return name

    def mapped(self) -> dict[str, dict[str, Any]]:
        """Name in the file to ``{"name": detector's name, "count": objects}``, for names that differ."""
        return dict(sorted(self._mapped.items()))

    def unknown(self) -> dict[str, dict[str, Any]]:
        """Name in the file to ``{"count": objects, "nearest": the detector's most similar name or None}``."""
        return dict(sorted(self._unknown.items()))

    def _nearest(self, raw: str) -> str | None:
        near = difflib.get_close_matches(tidy(raw), self._tidied, n=1, cutoff=0.6)
        return self._tidied[near[0]] if near else None
