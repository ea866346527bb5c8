"""Scoring pairs of a blurred and a sharp picture, in a way that a run which was stopped can go on with."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from deblur.devices import resolve_device
from deblur.equal_files import sha256_of
from deblur.pictures import read_picture, write_picture
from deblur.runs import hardware
from experiments.common.cache import Cache, key_of, state_of_code
from experiments.restoring.examples import Example, Extremes
from experiments.restoring.methods import NetworkMethod
from experiments.restoring.scores import PictureScore, score_picture

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from experiments.common.narrator import Narrator
    from experiments.common.pairs import Pairs
    from experiments.restoring.methods import Method

# What a score depends on beside the code whose state `experiments.common.cache` knows.
_SCORING = ("alignment.py", "methods.py", "scores.py")


def score_pairs(
    args: argparse.Namespace, pairs: Pairs, methods: Sequence[Method], before: str, folder: Path, narrator: Narrator
) -> tuple[dict[str, list[PictureScore]], dict[str, Extremes], str]:
    """What came of the pairs.

    Args:
        args: of `experiments.restoration`: ``align``, ``device``, ``examples`` and ``save_restored``.
        pairs: to score.
        methods: that restore them.
        before: what the row of the blurred pictures is called.
        folder: of the run.
        narrator: tells how far it is.

    Returns:
        The scores of the input and of every method in the order of the pairs, the extremes of each method, and the hash
        of the pairs' files. Scores that are kept have no time where it was taken on other hardware.
    """
    timed_on = hardware(str(resolve_device(args.device)))
    code = [sha256_of(Path(__file__).parent / name) for name in _SCORING]
    cache = Cache(folder / "cache", key_of(code=state_of_code(), scoring=code))
    # What a network restores may take minutes, so its score is kept; a file is as soon read and scored again.
    makers = {
        method.name: key_of(method=method.name, facts=method.describe(), aligned=args.align)
        for method in methods
        if isinstance(method, NetworkMethod)
    }
    scores: dict[str, list[PictureScore]] = {name: [] for name in (before, *(method.name for method in methods))}
    examples = {method.name: Extremes(args.examples) for method in methods}
    digest = hashlib.sha256()
    with narrator.progress(len(pairs), "scoring", "picture") as advance:
        for key, blurred_file, sharp_file in pairs:
            blurred, sharp = read_picture(blurred_file), read_picture(sharp_file)
            parts = key.encode("utf-8", "surrogateescape"), blurred_file.read_bytes(), sharp_file.read_bytes()
            hashes = [hashlib.sha256(part) for part in parts]
            for each in hashes:
                digest.update(each.digest())
            pair = _OpenPair(key, blurred, sharp, "-".join(each.hexdigest() for each in hashes))
            unrestored = score_picture(blurred, sharp, aligned=args.align)
            scores[before].append(unrestored)
            for method in methods:
                place = key_of(maker=makers[method.name], pair=pair.hashes) if method.name in makers else None
                saved = folder / "restored" / method.name / f"{key}.png" if place and args.save_restored else None
                score, restored = _score_method(method, pair, args.align, saved, cache, place, timed_on)
                scores[method.name].append(score)
                example = Example(key, (blurred_file, sharp_file), (unrestored, score), restored)
                examples[method.name].consider(example)
                if score.aligned is False:
                    narrator.say(f"{key}: {method.name} could not be aligned; scored as it is")
            advance(1)
    return scores, examples, digest.hexdigest()


class _OpenPair(NamedTuple):
    """A blurred and a sharp picture, RGB uint8 (H, W, 3), with their key, and the hashes of key and files."""

    key: str
    blurred: NDArray[np.uint8]
    sharp: NDArray[np.uint8]
    hashes: str


def _score_method(
    method: Method, pair: _OpenPair, aligned: bool, saved: Path | None, cache: Cache, place: str | None, timed_on: str
) -> tuple[PictureScore, Callable[[], NDArray[np.uint8]]]:
    """The score of what a method makes of a pair, and what gives the picture: see `Example`.

    Args:
        method: to score.
        pair: to restore and to compare with.
        aligned: whether pictures are laid over each other first.
        saved: where the picture is written; None for nowhere.
        cache: of the scores.
        place: of this one in it; None where it is not kept.
        timed_on: the hardware of this sitting.
    """
    kept = None if place is None else cache.get("scores", place)
    if kept is not None:
        restored_as = kept.pop("restored_sha256", None)
        if kept.pop("timed_on", None) != timed_on:
            kept["milliseconds"] = None  # no median is of two devices; the entry keeps it for a sitting on the first
        if saved is None:
            return PictureScore(**kept), lambda: method.restore(pair.key, pair.blurred).picture
        # A file of that name may be of other weights, with which the run went on in between.
        if saved.is_file() and sha256_of(saved) == restored_as:
            return PictureScore(**kept), partial(read_picture, saved)
    picture, unrounded, milliseconds = method.restore(pair.key, pair.blurred)
    score = score_picture(picture, pair.sharp, unrounded=unrounded, aligned=aligned, milliseconds=milliseconds)
    if saved is not None:
        write_picture(saved, picture)
    if place is not None:
        restored_as = None if saved is None else sha256_of(saved)
        cache.put("scores", place, asdict(score) | {"timed_on": timed_on, "restored_sha256": restored_as})
    return score, lambda: picture
