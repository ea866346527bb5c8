"""Puts the page together: one file, nothing loaded from anywhere, nothing from data read as markup or script."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from experiments.gain.files import read_environment
from experiments.plotting.boxes import drawn_confidence
from experiments.plotting.figures import charts
from experiments.plotting.runs import Runs, flat
from experiments.plotting.sheet import Drawing, Plot, rendered
from experiments.plotting.style import DARK, LIGHT, Palette, styled
from experiments.reporting.browser import PictureBook
from experiments.reporting.tables import origins, tables
from experiments.reporting.words import findings, summary

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE = Path(__file__).parent
_CARDS = 9  # further findings are folded up


def build_page(runs: Runs, max_pictures: int) -> str:
    """The report of one run as HTML.

    Args:
        runs: one finished detection-gain run.
        max_pictures: how many examples the browser carries at most.

    Raises:
        DeblurError: one of its files is damaged.
    """
    found = findings(runs)
    book = PictureBook(runs, max_pictures)
    figures, missing = [], []
    with styled() as palette:
        for entry in charts(Drawing(runs, palette, framed=False)):
            if isinstance(entry, Plot):
                words = {"title": entry.title, "caption": entry.caption, "alt": _alt(entry)}
                figures.append({"source": _svg_uri(entry), **words})
            else:
                missing.append(f"{entry.name}: {entry.reason}")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    record = runs.runs[0].record
    environment = jinja2.Environment(
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FileSystemLoader(_HERE),
    )
    return environment.get_template("page.html").render(
        name=runs.runs[0].name,
        counts=runs.counts,
        limit=record.data["limit"],
        confidence=runs.confidence_percent,
        summary=summary(found, runs.confidence_percent),
        cards=found[:_CARDS],
        has_fused=any(finding.is_fused for finding in found),
        more_cards=found[_CARDS:],
        tables=tables(runs),
        origins=origins(runs),
        figures=figures,
        missing=missing,
        n_pictures=len(book),
        n_left_out=book.n_left_out,
        drawn_confidence=f"{drawn_confidence(runs.runs[0]):g}",
        absent=book.absent,
        book=book.to_json(),
        details=_details(runs.runs[0].folder, record.protocol, record.data),
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii"),
    )


def _alt(plot: Plot) -> str:
    """What a figure shows, and where to read that: no table holds curves."""
    is_curve = plot.name.startswith("precision_recall")
    place = "are in the run's curves.json, not on this page" if is_curve else "stand in the tables below"
    return f"{plot.title}{'' if plot.title.endswith('?') else '.'} {plot.caption} The numbers {place}."


def _svg_uri(plot: Plot) -> str:
    """A figure as a data URI; its neutral colours follow the reader's choice of a light or dark page."""
    text = rendered(plot.figure, "svg", plot.title).decode("utf-8")
    names = tuple(field.name for field in dataclasses.fields(Palette))
    for name in names:
        text = re.sub(re.escape(getattr(LIGHT, name)), f"var(--{name})", text, flags=re.IGNORECASE)
    light, dark = ("".join(f"--{name}:{getattr(palette, name)};" for name in names) for palette in (LIGHT, DARK))
    style = f"<style>:root{{{light}}}@media(prefers-color-scheme:dark){{:root{{{dark}}}}}</style>"
    text = re.sub(r"(<svg[^>]*>)", lambda match: match[1] + style, text, count=1)
    return "data:image/svg+xml;base64," + base64.b64encode(text.encode("utf-8")).decode("ascii")


def _details(folder: Path, protocol: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, dict[str, str]]]:
    """Title and entries of each list at the end of the page."""
    lists = [("Protocol", flat(dict(protocol))), ("Data", flat(dict(data)))]
    if (folder / "env.json").is_file():
        lists.append(("Environment", flat(read_environment(folder))))
    return lists
