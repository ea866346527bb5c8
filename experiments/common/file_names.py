"""Names of what is measured as names of files."""

from __future__ import annotations

import hashlib
import re


def file_name_of(name: str) -> str:
    """A name as part of a file name on any system: ``deblurred:mstsgm`` becomes ``deblurred-mstsgm``."""
    return re.sub(r"[^\w.=]+", "-", name)


def file_name_of_stem(stem: str) -> str:
    """A picture's stem as part of a file name, another one for every stem: a hash tells ``a/1`` from ``a-1``."""
    name = file_name_of(stem)
    return name if name == stem else f"{name}-{hashlib.sha256(stem.encode()).hexdigest()[:8]}"
