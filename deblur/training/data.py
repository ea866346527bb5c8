"""What a training run learns from and is validated on, as its options name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.blur import parse_blur
from deblur.equal_files import copies_of
from deblur.errors import DeblurError
from deblur.training.sources import check_readable, files_of, hold_out, parse_source, scenes_in_both, without
from deblur.training.validation import blurred_here, pairs_from_files, with_paths

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from deblur.training.sources import Example, PictureStore, Source
    from deblur.training.validation import ValidationSet


def read_sources(
    options: argparse.Namespace, note: Callable[[str], object]
) -> tuple[list[Source], list[ValidationSet]]:
    """The training sources and the validation sets made of what was set aside; every file's header has been read.

    What is validated on is trained on nowhere, also where folders share files or hold copies of them.

    Args:
        options: of training.
        note: is told what a user may not expect.
    """
    sources, held = _split_sharp(options, note)
    sources += [parse_source("pairs", text) for text in options.pairs]
    sources += [parse_source("frames", text) for text in options.frames]
    references = [parse_source("pairs", text, "--val-pairs") for text in options.val_pairs]
    given = [parse_source("sharp", text, "--val-sharp") for text in options.val_sharp]
    _refuse_weights("--val-pairs", references)
    _refuse_weights("--val-sharp", given)
    held += [example for one in given for example in one.examples]
    aside = [*held, *(example for one in references for example in one.examples)]
    copies = copies_of(files_of(aside), (file for source in sources for file in files_of(source.examples)))
    sources = [without(source, copies) for source in sources]
    both = scenes_in_both([one for one in sources if one.kind == "pairs"], references)
    if both:
        more = f" and {len(both) - 1} more" if len(both) > 1 else ""
        note(
            f"--pairs and --val-pairs both hold pictures of the scene {both[0]}{more}, by their names: if it is one "
            "place, what is validated on has been trained on"
        )
    check_readable(aside, options.max_side)
    sets = [
        pairs_from_files(str(one.folder), _spread(one.examples, options.val_limit), options.val_side)
        for one in references
    ]
    chosen = _spread(held, options.val_limit)
    if chosen:
        blurred = [
            blurred_here(chosen, parse_blur(text), options.val_side, options.max_side) for text in options.val_blur
        ]
        sets += blurred
        if options.path_share:
            sets += map(with_paths, blurred)
    return sources, sets


def _split_sharp(options: argparse.Namespace, note: Callable[[str], object]) -> tuple[list[Source], list[Example]]:
    """The folders of ``--sharp`` without what ``--hold-out`` sets aside, and that."""
    sources: list[Source] = []
    held: list[Example] = []
    for text in options.sharp:
        whole = parse_source("sharp", text)
        source, split_off = hold_out(whole, options.hold_out, options.seed, options.val_limit)
        if len(split_off) > 2 * max(1, options.hold_out * len(whole.examples)):
            note(
                f"{whole.folder}: --hold-out sets aside {len(split_off)} of {len(whole.examples)} pictures, a scene by "
                "their names; to train on all of them give --hold-out 0 and --val-pairs"
            )
        sources.append(source)
        held.extend(split_off)
    return sources, held


def _refuse_weights(option: str, sources: Sequence[Source]) -> None:
    weighted = next((one for one in sources if one.weight != 1), None)
    if weighted is not None:
        raise DeblurError(f"{option} {weighted.folder}={weighted.weight:g}: sets are validated on without a weight")


def fill_store(store: PictureStore, sources: Sequence[Source], max_side: int | None) -> None:
    """Check every training file; where all pictures fit into the store, read them all now.

    Raises:
        DeblurError: names the files that are broken: those whose header is, and of data that fits any others too.
    """
    examples = [example for source in sources for example in source.examples]
    if check_readable(examples, max_side) <= store.capacity:
        store.load(files_of(examples))


def _spread(examples: Sequence[Example], count: int) -> Sequence[Example]:
    """At most ``count`` examples, evenly apart: neighbours show the same place."""
    return [examples[index * len(examples) // count] for index in range(count)] if count < len(examples) else examples
