"""What a training run learns from and is validated on, as its options name it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deblur.blur import parse_blur
from deblur.equal_files import copies_of
from deblur.errors import DeblurError
from deblur.training.holding_out import hold_out, hold_out_recordings, scenes_in_both
from deblur.training.recordings import LARGEST_SHIFT, is_recording, shift_of_frames
from deblur.training.sources import check_readable, files_of, parse_source, without
from deblur.training.validation import blurred_here, pairs_from_files, with_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deblur.training.options import TrainingOptions
    from deblur.training.sources import Example, PictureStore, Source
    from deblur.training.validation import ValidationSet

    _Split = tuple[Source, tuple[Example, ...]]


def read_sources(options: TrainingOptions, note: Callable[[str], object]) -> tuple[list[Source], list[ValidationSet]]:
    """The training sources and the validation sets made of what was set aside; every file's header has been read.

    What is validated on is trained on nowhere, also where folders share files or hold copies of them.

    Args:
        options: of training.
        note: is told what a user may not expect.

    Raises:
        DeblurError: a folder, a file or a weight cannot be used, or all sources of a kind are validated on.
    """
    split = _split_sharp(options, note)
    held = [example for _, part in split for example in part]
    split += [(parse_source("pairs", text), ()) for text in options.pairs]
    videos = [parse_source("frames", text) for text in options.frames]
    split += [(source, ()) for source in videos]
    references = [parse_source("pairs", text, "--val-pairs") for text in options.val_pairs]
    given = [parse_source("sharp", text, "--val-sharp") for text in options.val_sharp]
    _refuse_weights("--val-pairs", references)
    _refuse_weights("--val-sharp", given)
    pairs, sharp = ([example for one in each for example in one.examples] for each in (references, given))
    aside = [*held, *sharp, *pairs]
    copies = copies_of(files_of(aside), (file for source, _ in split for file in files_of(source.examples)))
    split = _left([(without(source, copies), own) for source, own in split if source.examples], note)
    _note_shared_scenes(split, aside, note)
    check_readable(aside, options.max_side)
    _note_slow_videos(videos, note)
    sets = [
        pairs_from_files(str(one.folder), _spread(one.examples, options.val_limit), options.val_side)
        for one in references
    ]
    return [source for source, _ in split], sets + _blurred_sets(options, [*held, *sharp])


def _blurred_sets(options: TrainingOptions, held: Sequence[Example]) -> list[ValidationSet]:
    """The sharp pictures that are set aside, blurred by each of ``--val-blur``."""
    chosen = _spread(held, options.val_limit)
    if not chosen:
        return []
    sets = [blurred_here(chosen, parse_blur(text), options.val_side, options.max_side) for text in options.val_blur]
    return [*sets, *map(with_paths, sets)] if options.path_share else sets


def _split_sharp(options: TrainingOptions, note: Callable[[str], object]) -> list[_Split]:
    """Each folder of ``--sharp`` without what ``--hold-out`` sets aside of it, and that."""
    wholes = [parse_source("sharp", text) for text in options.sharp]
    if options.hold_out == 0:
        return [(whole, ()) for whole in wholes]
    filmed = [place for place, whole in enumerate(wholes) if is_recording(whole)]
    if len({wholes[place].folder for place in filmed}) < 2:
        return [_split_one(whole, place in filmed, options, note) for place, whole in enumerate(wholes)]
    recordings = [wholes[place] for place in filmed]
    parts = hold_out_recordings(recordings, options.hold_out, options.seed, options.val_limit)
    gone = ", ".join(f"{source.folder}" for source, held in parts if held)
    note(f"--hold-out sets aside whole recordings, as {len(filmed)} folders of --sharp look like one each: {gone}")
    whole_ones = dict(zip(filmed, parts, strict=True))
    return [whole_ones.get(place) or _split_one(whole, False, options, note) for place, whole in enumerate(wholes)]


def _split_one(whole: Source, filmed: bool, options: TrainingOptions, note: Callable[[str], object]) -> _Split:
    source, held = hold_out(whole, options.hold_out, options.seed, options.val_limit)
    counts = f"{len(held)} of {len(whole.examples)} pictures"
    if filmed:
        note(
            f"{whole.folder}: --hold-out sets aside {counts} of what looks like one recording, and trains on their "
            "neighbours: give others to --val-sharp or --val-pairs, and --hold-out 0"
        )
    elif len(held) > 2 * max(1, options.hold_out * len(whole.examples)):
        note(
            f"{whole.folder}: --hold-out sets aside {counts}, more than its share, because by their names they are one "
            "scene; to train on all of them give --hold-out 0 and --val-pairs"
        )
    return source, held


def _left(split: Sequence[_Split], note: Callable[[str], object]) -> list[_Split]:
    """The sources of which pictures are left that are not validated on; says which are not, such as one of GoPro's.

    Raises:
        DeblurError: nothing is left of all that was given as pairs, as sharp pictures or as frames.
    """
    kinds = {source.kind for source, _ in split if source.examples}
    for source, _ in split:
        if source.kind not in kinds:
            raise DeblurError(f"{source.folder}: all of it is validated on; give other pictures to train on")
        if not source.examples:
            note(f"{source.folder}: all of it is validated on, so it is left out of what is trained on")
    return [(source, own) for source, own in split if source.examples]


def _note_shared_scenes(split: Sequence[_Split], aside: Sequence[Example], note: Callable[[str], object]) -> None:
    """Say which scenes are trained on and set aside, but for those that one folder was parted by."""
    both: set[str] = set()
    for source, own in split:
        both |= scenes_in_both(source.examples, set(aside).difference(own))
    if both:
        first, *others = sorted(both)
        more = f" and {len(others)} more" if others else ""
        note(
            f"pictures of the scene {first}{more}, by their names, are both trained and validated on: if it is one "
            "place, what is validated on has been trained on"
        )


def _note_slow_videos(videos: Sequence[Source], note: Callable[[str], object]) -> None:
    """Say of which videos a mean of frames shows things several times, side by side, instead of their motion blur."""
    for source in videos:
        shift = shift_of_frames(source)
        if shift > LARGEST_SHIFT:
            note(
                f"--frames {source.folder}: neighbouring frames lie {shift:.0f} pixels of a long side of 640 apart; "
                f"above {LARGEST_SHIFT} their mean shows things several times instead of blurred: give frames of a "
                "fast camera (240 a second, as GOPRO_Large_all has), or interpolate frames between them first"
            )


def _refuse_weights(option: str, sources: Sequence[Source]) -> None:
    weighted = next((one for one in sources if one.weight != 1), None)
    if weighted is not None:
        given = f"{option} {weighted.folder}={weighted.weight:g}"
        raise DeblurError(f"{given}: validation sets take no weight, leave it out")


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
