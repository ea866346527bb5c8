"""Lines for people: one stays one line, whatever names stand in it."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def each_line(text: str) -> str:
    """Lines, of a table for one, in which nothing steers a terminal; see ``one_line``."""
    return "\n".join(map(one_line, text.split("\n")))


def one_line(text: str) -> str:
    r"""Text in which characters are escaped that would end its line, steer a terminal, or fit no UTF-8.

    File names may hold all of these: ``\n`` for a line break, ``\x1b`` for what colours begin with, and for a byte that
    is no UTF-8 a lone surrogate, ``\udce9``.
    """
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)
