"""What a command is asked to restore by, ``[NAME=]NETWORK[+search|+gyro]``, and what its results call that."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from deblur.errors import DeblurError

DEFAULT_NAME = "mstsgm-guided"
"""What the name "default" stands for."""
SUFFIX = ".safetensors"
"""Of files of weights."""
GYROSCOPE = "+gyro"
"""Behind a guided network's name or file: it is told each picture's camera path as a gyroscope measures it."""
SEARCH = "+search"
"""Behind one: it searches for the path of each picture that it is not told (``deblur.path_search``)."""
_BEHIND = re.compile(f"(?:{re.escape(GYROSCOPE)}|{re.escape(SEARCH)})*$")


class Asked(NamedTuple):
    """A deblurrer that is asked for.

    Attributes:
        name: what results call it, with what stands behind: NAME, else a file by its stem and ``default`` by its name.
        weights: released name or .safetensors file, for ``find_released``.
        searches: whether it searches for the path of each picture.
        told: whether the camera's path is given to it: that of synthetic blur, or a recorded one.
    """

    name: str
    weights: str
    searches: bool
    told: bool


def parse_deblurrer(text: str) -> Asked:
    """Read ``NETWORK``, a released name or a .safetensors file, with ``NAME=`` before it and a suffix behind it.

    NAME tells apart files that training calls alike. A file that is there is never NAME=FILE, nor is a path with = in
    a folder's name.

    Raises:
        DeblurError: NAME or what it stands for is missing, NAME cannot name files, or more than one suffix is there.
    """
    behind = _BEHIND.search(text)
    assert behind is not None  # it may be empty
    weights, suffix = text[: behind.start()], behind.group()
    if suffix not in {"", SEARCH, GYROSCOPE}:
        raise DeblurError(f"{text}: a network that is told its paths searches for none; leave one of the two out")
    name, equals, named = weights.partition("=")
    in_path = {"/", "\\"} & {*name} and not Path(named).is_file()
    if equals and not in_path and not Path(weights).is_file():
        if not named:
            raise DeblurError(f"{text!r} lacks a network: give NAME=FILE, with a {SUFFIX} file or a released name")
        if name in {"", ".", ".."} or {"/", "\\", "+"} & {*name}:
            raise DeblurError(
                f"{text!r} is not NAME=FILE: NAME names files, and has no / and no +; {SEARCH} and {GYROSCOPE} stand "
                "behind FILE"
            )
        weights = named
    else:
        name = DEFAULT_NAME if weights == "default" else weights
        name = Path(name).stem if name.endswith(SUFFIX) else name
    return Asked(name + suffix, weights, searches=suffix == SEARCH, told=suffix == GYROSCOPE)
