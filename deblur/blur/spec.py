"""What kind of blur, how long, and through what camera: one line of text, ``shake:16,light=srgb``."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from numbers import Real
from typing import Any, Literal, get_args

from deblur.errors import DeblurError

Kind = Literal["none", "straight", "curved", "measured", "shake", "jolt", "forward", "object", "background"]
Light = Literal["linear", "srgb"]

KINDS: tuple[Kind, ...] = get_args(Kind)
REFERENCE_SIDE = 640
"""Lengths are given for a picture whose long side has this many pixels, and grow with the picture."""

_LARGEST = 10_000  # of any number
LONGEST_READOUT = 16
"""In exposures. A shorter exposure, of a picture read as fast, is hardly blurred."""


@dataclass(frozen=True)
class BlurSpec:
    """One kind of blur at one severity.

    Attributes:
        kind: ``none``; ``straight`` and ``curved``, one kernel for the whole picture; ``measured``, a kernel from a
            file; ``shake``, camera shake with roll, different from place to place; ``jolt``, such a shake between two
            rests; ``forward``, the camera drives or walks and shakes a little; ``object``, something moves on a still
            background; ``background``, the camera follows something and the rest is blurred.
        length: arc length of the motion in pixels of a picture with a long side of 640; at the centre for ``shake`` and
            ``jolt``, at the corner farthest from where the camera heads for ``forward``; from end to end for
            ``measured``.
        roll: for ``shake`` and ``jolt``, how far the rotation alone moves the farthest corner, as a share of
            ``length``.
        light: ``linear`` averages light, as a sensor does; ``srgb`` averages gamma-encoded values, as GoPro's
            ``blur`` and many synthetic sets do.
        shot: standard deviation of shot noise at full white, in linear light where white is 1.
        read: standard deviation of read noise, same unit.
        jpeg: JPEG quality 1 to 100 after exposure; 0 leaves JPEG out.
        kernels: for ``measured``, an ``.npz`` file of 2-D arrays; a ``Path`` becomes its text.
        readout: for ``shake``, how much later the last row of the picture is exposed than the first, in exposures: a
            rolling shutter, as most cameras have. 0 exposes all rows at once.

    Raises:
        DeblurError: a value is out of its range, or does not go with the kind of blur.
    """

    kind: Kind = "shake"
    length: float = 16.0
    roll: float = 1.0
    light: Light = "linear"
    shot: float = 0.005
    read: float = 0.0005
    jpeg: int = 95
    kernels: str = ""
    readout: float = 0.0

    def __post_init__(self) -> None:
        """Check every value; the message names the field and what it may be."""
        # Seeds are made of a spec's text: of equal specs it has to be the same, of 16 and 16.0, of a Path and its name.
        object.__setattr__(self, "kernels", str(self.kernels))
        if self.kind not in KINDS:
            raise DeblurError(f"unknown kind of blur {self.kind!r}: use one of {', '.join(KINDS)}")
        if self.light not in get_args(Light):
            raise DeblurError(f"blur: light={self.light!r} is neither linear nor srgb")
        for name in ("length", "roll", "shot", "read", "readout"):
            number = getattr(self, name)
            if not _is_number(number) or not 0 <= number < _LARGEST:
                raise DeblurError(f"blur: {name}={number} must be a number from 0 to below {_LARGEST}")
            object.__setattr__(self, name, float(number))
        if not _is_number(self.jpeg) or not 0 <= self.jpeg <= 100 or self.jpeg != int(self.jpeg):
            raise DeblurError(f"blur: jpeg={self.jpeg} must be a quality from 1 to 100, or 0 for none")
        object.__setattr__(self, "jpeg", int(self.jpeg))
        if self.kind == "measured" and not self.kernels:
            raise DeblurError("blur: kind measured needs kernels=FILE.npz, in training measured@FILE.npz")
        if self.kernels and self.kind != "measured":
            raise DeblurError(f"blur: kernels={self.kernels} with {self.kind}: they are for measured")
        if "," in self.kernels:
            raise DeblurError(f"blur: the name {self.kernels!r} of the file of kernels holds a comma: rename it")
        if self.readout and (self.kind != "shake" or self.readout > LONGEST_READOUT):
            raise DeblurError(
                f"blur: readout={self.readout:g} with {self.kind}: it is for shake, up to {LONGEST_READOUT} exposures"
            )

    def __str__(self) -> str:
        """The shortest text from which ``parse_blur`` makes this spec again, the length to six digits.

        That of ``none`` has no length, which would say nothing.
        """
        text = self.kind if self.kind == "none" else f"{self.kind}:{self.length:g}"
        changed = [
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)[2:]
            if getattr(self, field.name) != field.default
        ]
        return ",".join([text, *changed])


def _is_number(value: object) -> bool:
    return isinstance(value, Real)


def parse_blur(text: str) -> BlurSpec:
    """Read ``KIND[:LENGTH][,NAME=VALUE...]``, such as ``shake:16`` or ``straight:15,light=srgb,jpeg=0``.

    Raises:
        DeblurError: the text is not of that form, or a value is out of range or given twice.
    """
    head, *options = text.split(",")
    kind, colon, length = head.partition(":")
    values: dict[str, str] = {"kind": kind.strip()}
    if colon:
        values["length"] = length
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise DeblurError(f"blur {text!r}: {option!r} is not NAME=VALUE")
        if name.strip() in values:
            raise DeblurError(f"blur {text!r}: {name.strip()} is given twice")
        values[name.strip()] = value.strip()
    fields: dict[str, Any] = dataclasses.asdict(BlurSpec())
    converted: dict[str, Any] = {}
    for name, value in values.items():
        if name not in fields:
            raise DeblurError(f"blur {text!r}: unknown option {name!r}; known: {', '.join(list(fields)[1:])}")
        try:
            converted[name] = value if isinstance(fields[name], str) else float(value)
        except ValueError:
            raise DeblurError(f"blur {text!r}: {name}={value!r} is not a number") from None
    return dataclasses.replace(BlurSpec(), **converted)
