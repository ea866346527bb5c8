"""How every figure looks: colours, markers, hatches, type, and numbers as text.

The colours are those of Okabe and Ito, Color Universal Design (2008), which people with any common colour blindness
tell apart. No figure relies on them: markers, hatches and line patterns differ as well, so black and white will do.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MINUS = "\N{MINUS SIGN}"
INK = "ink"
"""Stands for the colour of letters."""
BLURRED_GREY = "#8A8A8A"
_CONTROL_GREY = "#4D4D4D"
PANEL_TITLE_SIZE, LABEL_SIZE, LEGEND_SIZE = 9.5, 9, 8.5
"""Of letters, in points."""
Line = Literal["-", "--", "-.", ":"] | tuple[float, tuple[float, ...]]
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_HATCHES = ("////", "....", "xxxx", "----", "++++", "oooo", "||||")
# Of one pass and of two, and the same where the colours come again.
_LINES: tuple[tuple[Line, Line], ...] = (("-", "-."), ((0, (6, 1.5)), (0, (6, 1.5, 1, 1.5, 1, 1.5))))
_OTHER_MARKERS = ("<", ">", "d", "h", "8", "H")
_OTHER_HATCHES = ("**", "OO", "\\\\..", "//..", "xx..", "++..")
_OTHER_LINES = ((0, (5, 1, 1, 1, 1, 1)), (0, (2, 1)), (0, (8, 2)), (0, (6, 2, 2, 2)), (0, (3, 3)), (0, (8, 1, 1, 1)))


def in_hundredths(value: float, digits: int, sign: Literal["", "+"] = "") -> str:
    """A figure as text, with more digits where they alone say on which side of 0 it lies.

    Args:
        value: in units of 1.
        digits: behind the point, where they are enough.
        sign: before a figure above 0.
    """
    rounded = (f"{100 * value:{sign}z.{more}f}" for more in range(digits, digits + 4))
    return next((text for text in rounded if float(text)), "0").replace("-", MINUS)


@dataclass(frozen=True, slots=True)
class MarkStyle:
    """What tells one series from the others, whether or not there is colour.

    Attributes:
        colour: as matplotlib takes it, or `INK`.
        marker: matplotlib's.
        hatch: matplotlib's, of a bar.
        line: matplotlib's line style.
        hollow: whether markers are rings.
    """

    colour: str
    marker: str
    hatch: str
    line: Line
    hollow: bool = False

    def through(self) -> MarkStyle:
        """The look of sharp pictures put through a deblurrer of this one: same colour and marker, hollow."""
        return replace(self, line=(0, (1, 1.5)), hollow=True)


SHARP_LOOK = MarkStyle(INK, "*", "", "--")
BLURRED_LOOK = MarkStyle(BLURRED_GREY, "X", "", ":")
CONTROL_LOOK = MarkStyle(_CONTROL_GREY, "p", "\\\\\\\\", "-.")
_DRAWING = threading.RLock()
_OF_SEVERAL_RUNS = (SHARP_LOOK, BLURRED_LOOK, CONTROL_LOOK)


def another(look: MarkStyle, number: int) -> MarkStyle:
    """The look of sharp or blurred pictures or of the control, of a run that measured them otherwise than others.

    Args:
        look: of the first run's.
        number: of the run among those that differ, from 0, which has ``look`` itself; they repeat after three.
    """
    if number == 0:
        return look
    place = _OF_SEVERAL_RUNS.index(look) + (number - 1) % 2 * len(_OF_SEVERAL_RUNS)
    return replace(look, marker=_OTHER_MARKERS[place], hatch=_OTHER_HATCHES[place], line=_OTHER_LINES[place])


def deblurrer_look(place: int, coloured: int | None = None, *, fused: bool = False) -> MarkStyle:
    """The look of the deblurrer at a place in the order of the runs; colour, marker and hatch repeat at their own pace.

    Args:
        place: from 0.
        coloured: its place among those that have a colour of their own; ``place`` where it is None.
        fused: whether it is of the boxes of two passes, which have the colour of the one pass and other lines.
    """
    own = place if coloured is None else coloured
    marker, hatch = _MARKERS[place % len(_MARKERS)], _HATCHES[place % len(_HATCHES)]
    line = _LINES[own // len(_COLOURS) % len(_LINES)][fused]
    return MarkStyle(_COLOURS[own % len(_COLOURS)], marker, hatch, line)


def free_look(taken: Collection[MarkStyle], places: Iterator[int], coloured: int, *, fused: bool) -> MarkStyle:
    """The first `deblurrer_look` that has another colour or another marker than all there are.

    Args:
        taken: those there are; where all markers of the colour are among them one comes again.
        places: from which it takes as many as it tries.
        coloured: as there.
        fused: as there.
    """
    marks = {(look.colour, look.marker) for look in taken}
    tried = [deblurrer_look(next(places), coloured, fused=fused)]
    while (tried[-1].colour, tried[-1].marker) in marks and len(tried) < len(_MARKERS):
        tried.append(deblurrer_look(next(places), coloured, fused=fused))
    return tried[-1]


@dataclass(frozen=True, slots=True)
class Palette:
    """The neutral colours of a theme."""

    ink: str
    soft: str
    faint: str
    paper: str
    band: str
    control: str = _CONTROL_GREY

    def of(self, look: MarkStyle) -> str:
        """A look's colour in this theme."""
        return self.ink if look.colour == INK else look.colour


LIGHT = Palette(ink="#1A1A1A", soft="#555555", faint="#D9D9D9", paper="#FEFEFE", band="#F3F3F3")
DARK = Palette(ink="#ECECEC", soft="#A9AEB6", faint="#3A3F47", paper="#15181D", band="#1D2127", control="#C0C0C0")
"""What a page of HTML puts in the place of each neutral colour where its reader likes it dark."""


@contextmanager
def styled() -> Iterator[Palette]:
    """Draw and save inside: matplotlib's settings are as before afterwards.

    Fonts are embedded in PDF as TrueType and drawn as outlines in SVG. Names from data are never read as formulas.
    """
    import matplotlib as mpl

    palette = LIGHT
    settings: dict[Any, Any] = {
        "axes.axisbelow": True,
        "axes.edgecolor": palette.soft,
        "axes.facecolor": palette.paper,
        "axes.grid": False,
        "axes.labelcolor": palette.ink,
        "axes.labelsize": LABEL_SIZE,
        "axes.linewidth": 0.8,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": PANEL_TITLE_SIZE,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlecolor": palette.ink,
        "axes.unicode_minus": True,
        "figure.facecolor": palette.paper,
        "font.family": ["DejaVu Sans", *_other_scripts()],
        "font.size": 9,
        "grid.color": palette.faint,
        "grid.linewidth": 0.6,
        "hatch.color": palette.paper,
        "hatch.linewidth": 0.7,
        "legend.fontsize": LEGEND_SIZE,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 6,
        "patch.linewidth": 0.8,
        "path.sketch": None,
        "pdf.fonttype": 42,
        "savefig.facecolor": palette.paper,
        "svg.fonttype": "path",
        "svg.hashsalt": "experiments.plots",
        "text.color": palette.ink,
        "text.parse_math": False,
        "text.usetex": False,
        "xtick.color": palette.soft,
        "xtick.labelcolor": palette.ink,
        "xtick.labelsize": 8.5,
        "ytick.color": palette.soft,
        "ytick.labelcolor": palette.ink,
        "ytick.labelsize": 8.5,
    }
    with _DRAWING, mpl.rc_context():  # one thread at a time: settings are one for all
        mpl.rcdefaults()  # a user's own matplotlibrc must not change a figure
        mpl.rcParams.update(settings)
        yield palette


def _other_scripts() -> list[str]:
    """Fonts of this machine for letters that DejaVu Sans lacks."""
    from matplotlib import font_manager

    wanted = ("Noto Sans CJK SC", "Noto Sans CJK JP", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC")
    installed = set(font_manager.get_font_names())
    return [name for name in wanted if name in installed]
