"""The pictures of a folder: listed, and paired with those of another one by name.

A folder of sharp pictures that turns out to hold the blurred ones of pairs too is refused here: who took these for
sharp would learn from them, or measure against them, unwarned.
"""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deblur.errors import DeblurError
from deblur.pictures import PICTURE_SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

NOT_TOLD_APART = "differ only by suffix, or by how accents are written"
# The folders of blurred and of sharp pictures in pairs: blur and sharp, as GoPro (blur_gamma), REDS (train_sharp) and
# BSD (Blur) have them; blur and gt (RealBlur), real_blur (RSBlur), input and GT (DVD); HIDE's train and test beside GT.
_KINDS = tuple(
    (re.compile(blurred), re.compile(sharp))
    for blurred, sharp in (
        (
            r"(?i)(?P<split>train_|val_|test_)?(?:avg_|real_)?(?:blur|blurred|blurry|input)(?:_gamma|_bicubic|_jpeg|_comp)?",
            r"(?i)(?P<split>train_|val_|test_)?(?:sharp|gt|ground_?truth|target)(?:_bicubic|_jpeg|_comp)?",
        ),
        # As HIDE spells them: masks for segmentation lie in a gt beside train, too.
        (r"(?P<split>)(?:train|test)", r"(?P<split>)GT"),
    )
)


def list_pictures(folder: Path, leaves_out: Callable[[Path, list[str]], bool] | None = None) -> list[Path]:
    """The picture files below ``folder`` at any depth, by suffix, sorted by relative path; hidden ones are left out.

    Linked folders are entered, but for those whose pictures are there without the link. A link that leads nowhere is
    listed too: who reads it will say so.

    Args:
        folder: where to look.
        leaves_out: see `folders_below`.

    Raises:
        DeblurError: the folder is missing, is no folder, holds no picture, or it or one below it may not be read.
    """
    if not folder.is_dir():
        raise DeblurError(f"{folder} {'is not a folder' if folder.exists() else 'does not exist'}")
    found = [
        (path.relative_to(folder).as_posix(), path)
        # Path.rglob passes over what may not be read.
        for place, names in folders_below(folder, onerror=_refuse, leaves_out=leaves_out)
        for path in (place / name for name in names)
        if path.suffix.lower() in PICTURE_SUFFIXES and (path.is_file() or not path.exists())
    ]
    if not found:
        raise DeblurError(f"{folder} holds no picture ({', '.join(sorted(PICTURE_SUFFIXES))})")
    return [path for _, path in sorted(found)]


def folders_below(
    *starts: Path,
    onerror: Callable[[OSError], None] | None = None,
    leaves_out: Callable[[Path, list[str]], bool] | None = None,
) -> Iterator[tuple[Path, list[str]]]:
    """The folders, and those below them that are not hidden, each with the names of its files, hidden ones left out.

    Each real folder comes once: by its own path first, then by links.

    Args:
        starts: where to begin.
        onerror: is told of a folder that may not be read; None to pass over it.
        leaves_out: is asked of each folder, with the names of its files, whether to leave it out with all below it;
            None enters all.
    """
    waiting, entered = [*starts], set()
    while waiting:
        for name_of_place, folders, names in os.walk(waiting.pop(0), onerror=onerror):
            real = os.path.realpath(name_of_place)
            if real in entered:
                folders.clear()
                continue
            entered.add(real)
            place, visible = Path(name_of_place), [name for name in names if not name.startswith(".")]
            if leaves_out is not None and leaves_out(place, visible):
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            waiting += [place / name for name in folders if (place / name).is_symlink()]
            yield place, visible


def composed(name: str) -> str:
    """A name as others write it too: an accent that systems write as one character or as two is one (NFC)."""
    return unicodedata.normalize("NFC", name)


def key_of(picture: Path, folder: Path) -> str:
    """What a picture of a folder is matched by: its path in it without suffix, with ``/``, `composed`."""
    return composed(picture.relative_to(folder).with_suffix("").as_posix())


def match_pictures(a: Path, b: Path) -> list[tuple[str, Path, Path]]:
    """Pair the pictures of two folders by relative path without suffix, never by position.

    Returns:
        (key, picture in ``a``, picture in ``b``) sorted by key, the relative path without suffix, with ``/``.

    Raises:
        DeblurError: a folder is missing or empty, two pictures of one folder share a key, or a picture has no partner.
    """
    pictures_a, pictures_b = pictures_by_key(a), pictures_by_key(b)
    for folder, own, other_folder, other in ((a, pictures_a, b, pictures_b), (b, pictures_b, a, pictures_a)):
        alone = sorted(own.keys() - other.keys())
        if alone:
            more = f" (and {len(alone) - 1} more)" if len(alone) > 1 else ""
            raise DeblurError(
                f"{own[alone[0]].relative_to(folder)} of {folder} has no partner in {other_folder}{more}; pictures"
                " match by relative path without suffix"
            )
    return [(key, pictures_a[key], pictures_b[key]) for key in sorted(pictures_a)]


class Sides(NamedTuple):
    """The folders, beside each other, of blurred and of sharp pictures in pairs."""

    blurred: Path
    sharp: Path


def pairs_among(folder: Path, files: Iterable[Path]) -> list[Sides]:
    """The sides of pairs, in ``folder`` or below it, in whose blurred one some of its ``files`` lie.

    Whoever takes all pictures of a folder for sharp ones would take these as well. Those in a ``train`` come first.
    """
    places = {
        (parts[:at], part)
        for parts in {file.parent.relative_to(folder).parts for file in files}
        for at, part in enumerate(parts)
        if any(blurred.fullmatch(part) for blurred, _ in _KINDS)
    }
    found = []
    for above, name in sorted(places, key=lambda place: ("train" not in place[0], place)):
        place = folder.joinpath(*above)
        sharp = next((side for side in sorted(place.iterdir()) if _are_sides(name, side.name) and _shows(side)), None)
        if sharp is not None:
            found.append(Sides(place / name, sharp))
    return found


def _are_sides(blurred: str, sharp: str) -> bool:
    """Whether folders of these names, beside each other, are the sides of pairs."""
    for kind in _KINDS:
        match, other = (side.fullmatch(name) for side, name in zip(kind, (blurred, sharp), strict=True))
        if match and other and (match["split"] or "").lower() == (other["split"] or "").lower():
            return True
    return False


def _shows(folder: Path) -> bool:
    """Whether a folder holds pictures: one called gt may hold boxes instead."""
    return any(
        PICTURE_SUFFIXES.intersection(Path(name).suffix.lower() for name in names) for _, names in folders_below(folder)
    )


def refuse_pairs(folder: Path, files: Iterable[Path], given: str, instead: Callable[[Sides], str]) -> None:
    """Refuse pictures that are given for sharp ones where some, by where they lie, are the blurred ones of pairs.

    Args:
        folder: that was given.
        files: the pictures in it, at any depth.
        given: what stands for it in the message, such as its option.
        instead: what to give in its place, by the first pairs among the pictures.

    Raises:
        DeblurError: somewhere blurred ones lie in a folder beside that of sharp ones; says what to give.
    """
    pairs = pairs_among(folder, files)
    if pairs:
        blurred, sharp = pairs[0]
        others = len({sides.sharp.parent for sides in pairs}) - 1  # one may hold blur/ and blur_gamma/
        more = f" (and {others} more)" if others else ""
        raise DeblurError(
            f"{given}: {sharp.parent}{more} holds {blurred.name}/ beside {sharp.name}/, and what is blurred is not to "
            f"be taken for sharp; give {instead(pairs[0])}"
        )


def pictures_by_key(folder: Path) -> dict[str, Path]:
    """The picture files below ``folder`` by `key_of`.

    Raises:
        DeblurError: the folder is missing or empty, or two of its pictures share a key.
    """
    keyed: dict[str, Path] = {}
    for path in list_pictures(folder):
        key = key_of(path, folder)
        if key in keyed:
            raise DeblurError(f"{keyed[key].name} and {path.name} in {path.parent} {NOT_TOLD_APART}; keep one of them")
        keyed[key] = path
    return keyed


def _refuse(error: OSError) -> None:
    raise DeblurError(
        f"cannot read the folder {error.filename}: {error.strerror}; leave it out by naming those beside it"
    ) from error
