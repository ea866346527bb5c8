"""How often intervals hold the figure that they are made for, by three ways of making them.

    python -m experiments.coverage runs/gain --blur shake:28 --deblurrer mstsgm-guided

The pictures of a finished detection-gain run are taken for all the pictures there are, so that the true figures are
known. Sets of them are drawn, every set gets intervals as if nothing else were known, and it is counted how many hold
the true figure: of 95 % intervals 95 % should. Sets are drawn in two ways, since each is wrong in its own: with
replacement a set has pictures twice, which real sets have not; without, sets differ less than sets of that size from a
larger world, by sqrt(1 - size / pictures), and intervals look better than they are. docs/scoring.md says what came out.
Where names tell scenes, the run's intervals draw these whole, and so do the sets here: ``--size`` counts scenes then.
Sets that a run would give no interval of a figure do not count for it, and are named.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING, NamedTuple

from deblur.cli import EXIT_DONE, add_seed_option, given_path, parse_args, positive_int, run
from deblur.errors import DeblurError
from detection.errors import DetectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from detection.matching import ClassMatches

    Figure = Callable[[Mapping[str, NDArray[np.float64]]], NDArray[np.float64]]  # of AP by arm
    Matches = Mapping[str, Sequence[ClassMatches]]  # of every arm

CONFIDENCE = 0.95
RECOVERED = "recovered"
DESIGNS = ("with replacement", "without replacement")


class Row(NamedTuple):
    """One figure, one way to draw sets, one kind of interval.

    Attributes:
        figure: its name.
        drawn: how sets are drawn.
        interval: its name.
        true: the figure of all pictures.
        mean: of the sets' figures.
        spread: standard deviation of the sets' figures.
        bootstrap_spread: what the draws say that is, mean over the sets.
        bootstrap_bias: mean of a set's draws - figure of the set, mean over the sets.
        holds: share of the intervals that hold ``true``.
        above: share that lies above it.
        below: share that lies below it.
        width: median.
    """

    figure: str
    drawn: str
    interval: str
    true: float
    mean: float
    spread: float
    bootstrap_spread: float
    bootstrap_bias: float
    holds: float
    above: float
    below: float
    width: float


def build_parser() -> argparse.ArgumentParser:
    """The parser of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.coverage", description="How often bootstrap intervals hold the true figure."
    )
    parser.add_argument(
        "run", type=given_path, metavar="RUN", help="folder of a detection-gain run with sharp pictures"
    )
    parser.add_argument(
        "--annotations",
        type=given_path,
        metavar="PATH",
        help="the run's annotations (default: where the run found them)",
    )
    parser.add_argument("--detector", metavar="NAME", help="detector of the run (default: its first)")
    parser.add_argument("--blur", metavar="NAME", help="blur of the run (default: its first)")
    parser.add_argument("--deblurrer", metavar="NAME", help="deblurrer of the run (default: its first)")
    parser.add_argument(
        "--size",
        type=positive_int,
        default=100,
        metavar="N",
        help="pictures in a set, or scenes where names tell scenes (default: 100)",
    )
    parser.add_argument("--sets", type=positive_int, default=200, metavar="N", help="sets to draw (default: 200)")
    parser.add_argument(
        "--resamples", type=positive_int, default=400, metavar="N", help="resamples of each set (default: 400)"
    )
    parser.add_argument("--output", type=given_path, metavar="FILE", help="also write the table as CSV")
    add_seed_option(parser)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    arguments = parse_args(build_parser(), argv)
    return run(lambda: _cover(arguments), expected=(DeblurError, DetectionError))


def _cover(arguments: argparse.Namespace) -> int:
    import pandas as pd

    from deblur.runs import prepare_output, write_atomically
    from detection.bootstrap import FEWEST_UNITS
    from experiments.common.narrator import Narrator

    if arguments.size < FEWEST_UNITS:
        raise DeblurError(f"--size {arguments.size}: so few have no interval; give {FEWEST_UNITS} or more")
    matches, unit_of = _matches(arguments)
    n_units = int(unit_of.max()) + 1
    if arguments.size > n_units:
        what = "pictures" if n_units == len(unit_of) else "scenes, which its intervals draw whole"
        remedy = "give that many or fewer" if n_units >= FEWEST_UNITS else "so few have no interval"
        raise DeblurError(f"--size {arguments.size}: the run has {n_units} {what}; {remedy}")
    if arguments.output:
        prepare_output(arguments.output)  # before the work, not after it
    narrator = Narrator()
    rows: list[Row] = []
    without: list[str] = []
    missing: list[str] = []
    with narrator.progress(len(DESIGNS) * arguments.sets, "drawing", "set") as done:
        for drawn in DESIGNS:
            found, n_intervals = coverage(
                matches, unit_of, arguments.size, drawn, arguments.sets, arguments.resamples, arguments.seed, done
            )
            rows += found
            missing += [f"{name}, drawn {drawn}" for name in _figures(matches) if name not in n_intervals]
            without += [
                f"{arguments.sets - count} of {arguments.sets} sets of {name}, drawn {drawn}"
                for name, count in n_intervals.items()
                if count < arguments.sets
            ]
    if without:
        narrator.say(f"without an interval, and left out: {'; '.join(without)}")
    if missing:
        narrator.say(f"not defined, and left out: {'; '.join(missing)}")
    table = pd.DataFrame(rows)
    if arguments.output:
        write_atomically(arguments.output, table.round(5).to_csv(index=False, lineterminator="\n").encode("utf-8"))
    print(table.round(4).to_string(index=False))
    return EXIT_DONE


def _matches(arguments: argparse.Namespace) -> tuple[Matches, NDArray[np.intp]]:
    """What each arm's boxes hit, and the number of each picture's unit (`detection.bootstrap.number_units`)."""
    from deblur.scenes import units_of
    from detection.bootstrap import number_units
    from detection.matching import match_classes, prepare
    from experiments.gain.records import BLURRED, CONTROL, SHARP, deblurred_arm, fused_name
    from experiments.gain.saved_run import read_run

    saved = read_run(arguments.run, arguments.annotations)
    detector = arguments.detector or saved.old.detectors[0].name
    blur = arguments.blur or saved.old.blurs[0].name
    deblurrer = arguments.deblurrer or next((record.name for record in saved.old.deblurrers), None)
    if deblurrer is None:
        raise DeblurError(f"{arguments.run} has no deblurrer: give a run that restored pictures")
    keys = {
        "sharp": ("", SHARP),
        "blurred": (blur, BLURRED),
        "deblurred": (blur, deblurred_arm(deblurrer)),
    }
    found = saved.found.get(detector, {})
    fused = blur, deblurred_arm(fused_name(deblurrer))
    if fused in found:  # not without --fuse, nor where the boxes asked for are fused ones
        keys |= {"fused": fused, "control": (blur, deblurred_arm(CONTROL))}
    missing = [arm for arm, key in keys.items() if key not in found]
    if missing:
        raise DeblurError(
            f"{arguments.run} has no {' and no '.join(missing)} pictures of {detector}, {blur}, {deblurrer}: it has "
            f"{', '.join(':'.join(filter(None, key)) for key in found) or 'no such detector'}"
        )
    truth = saved.truths.by_detector[detector]
    jobs = {arm: prepare(truth, found[key], classes=saved.settings.classes) for arm, key in keys.items()}
    matches = {arm: list(match_classes(job)) for arm, job in jobs.items()}
    if not any(each.positives.any() for each in matches["sharp"]):
        raise DeblurError(f"{arguments.run} has no object of the classes that were scored: no figure is defined")
    unit = units_of(truth.stems).of
    return matches, number_units([unit[picture.stem] for picture in jobs["sharp"].pictures])[0]


def coverage(
    matches: Matches,
    unit_of: NDArray[np.intp],
    size: int,
    drawn: str,
    sets: int,
    resamples: int,
    seed: int,
    done: Callable[[int], None],
) -> tuple[list[Row], dict[str, int]]:
    """Count for one way of drawing sets; a figure that all pictures or all sets do not define has no rows.

    Args:
        matches: of every arm: ``sharp``, ``blurred``, ``deblurred``, and ``fused`` with ``control`` or without.
        unit_of: (P,) the number of the unit that each of the pictures there are is drawn with, from 0.
        size: units of a set.
        drawn: one of `DESIGNS`.
        sets: how many to draw.
        resamples: draws of each.
        seed: of sets and draws.
        done: told 1 after every set.

    Returns:
        The rows, and how many sets have an interval, by every figure that all pictures define.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    figures = _figures(matches)
    n_units = int(unit_of.max()) + 1
    everything = _aps(matches, np.ones((len(unit_of), 1)))
    every = {name: float(figure(everything)[0]) for name, figure in figures.items()}
    true = {name: value for name, value in every.items() if not np.isnan(value)}
    values: dict[str, list[float]] = {name: [] for name in true}
    draws: dict[str, list[NDArray[np.float64]]] = {name: [] for name in true}
    for _ in range(sets):
        if drawn == "with replacement":
            copies = generator.multinomial(size, np.full(n_units, 1 / n_units))
        else:
            copies = np.zeros(n_units, int)
            copies[generator.choice(n_units, size, replace=False)] = 1
        redrawn = generator.multinomial(size, copies / size, size=resamples).T
        columns = np.column_stack([copies, redrawn]).astype(np.float64)[unit_of]
        aps = _aps(_those_of(matches, copies[unit_of] > 0), columns)
        for name in true:
            value, *others = figures[name](aps)
            values[name].append(float(value))
            draws[name].append(np.array(others))
        done(1)
    kept = {name: _with_interval(name, values[name], draws[name]) for name in true}
    rows = [row for name, sets_kept in kept.items() for row in _rows(name, drawn, true[name], sets_kept)]
    return rows, {name: len(sets_kept) for name, sets_kept in kept.items()}


def _figures(matches: Matches) -> dict[str, Figure]:
    """What a run reports with an interval, from AP by arm."""
    from detection.bootstrap import recovered_fractions

    def recovered(arm: str) -> Figure:
        return lambda ap: recovered_fractions(ap["sharp"], ap["blurred"], ap[arm])

    figures: dict[str, Figure] = {
        "AP sharp": lambda ap: ap["sharp"],
        "AP blurred": lambda ap: ap["blurred"],
        "AP difference": lambda ap: ap["deblurred"] - ap["blurred"],
        RECOVERED: recovered("deblurred"),
    }
    if "fused" in matches:
        figures |= {
            "AP difference, fused": lambda ap: ap["fused"] - ap["blurred"],
            f"{RECOVERED}, fused": recovered("fused"),
            "beyond control": lambda ap: ap["fused"] - ap["control"],
        }
    return figures


def _aps(matches: Matches, copies: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    from detection.bootstrap import average_precision

    return {arm: average_precision(classes, copies)[0] for arm, classes in matches.items()}


def _those_of(matches: Matches, pictures: NDArray[np.bool_]) -> Matches:
    """The boxes on some pictures alone: the others count for nothing, and take time."""
    import numpy as np

    def cut(each: ClassMatches) -> ClassMatches:
        kept = np.flatnonzero(pictures[each.pictures])
        return dataclasses.replace(
            each,
            scores=each.scores[kept],
            pictures=each.pictures[kept],
            hits=each.hits[:, kept],
            counted=each.counted[:, kept],
        )

    return {arm: [cut(each) for each in classes] for arm, classes in matches.items()}


def _with_interval(
    figure: str, values: Sequence[float], draws: Sequence[NDArray[np.float64]]
) -> list[tuple[float, NDArray[np.float64]]]:
    """Figure and known draws of each set that a run would give an interval (`BootstrapResult.recovered`)."""
    import numpy as np

    from detection.bootstrap import too_many_undefined

    is_share = figure.startswith(RECOVERED)
    sets = [(value, own, own[~np.isnan(own)]) for value, own in zip(values, draws, strict=True)]
    return [
        (value, known)
        for value, own, known in sets
        if not np.isnan(value)
        and len(known)
        and not (is_share and too_many_undefined(len(own) - len(known), len(own), CONFIDENCE))
    ]


def _rows(figure: str, drawn: str, true: float, kept: Sequence[tuple[float, NDArray[np.float64]]]) -> Iterator[Row]:
    import numpy as np

    if not kept:
        return
    means = [float(known.mean()) - value for value, known in kept]
    spreads = [float(known.std()) for _, known in kept]
    ends_by_kind: dict[str, Callable[[float, NDArray[np.float64]], tuple[float, float]]] = {
        "percentile": percentile,
        "basic": basic,
        "bias-corrected": bias_corrected,
    }
    for kind, ends in ends_by_kind.items():
        low, high = np.array([ends(value, known) for value, known in kept]).T
        yield Row(
            figure,
            drawn,
            kind,
            true,
            mean=float(np.mean([value for value, _ in kept])),
            spread=float(np.std([value for value, _ in kept])),
            bootstrap_spread=float(np.mean(spreads)),
            bootstrap_bias=float(np.mean(means)),
            holds=float(np.mean((low <= true) & (true <= high))),
            above=float(np.mean(low > true)),
            below=float(np.mean(high < true)),
            width=float(np.median(high - low)),
        )


def percentile(value: float, draws: NDArray[np.float64]) -> tuple[float, float]:
    """The percentiles of the draws."""
    return _ends(value, draws, basic=False)


def basic(value: float, draws: NDArray[np.float64]) -> tuple[float, float]:
    """The percentiles turned around the figure."""
    return _ends(value, draws, basic=True)


def _ends(value: float, draws: NDArray[np.float64], *, basic: bool) -> tuple[float, float]:
    from detection.bootstrap import interval

    found = interval(value, draws, CONFIDENCE, basic=basic)
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def bias_corrected(value: float, draws: NDArray[np.float64]) -> tuple[float, float]:
    """Quantiles as far from the middle as the figure is: Efron and Tibshirani, 14.3, without acceleration."""
    from statistics import NormalDist

    import numpy as np

    normal = NormalDist()
    below = (np.count_nonzero(draws < value) + np.count_nonzero(draws == value) / 2) / len(draws)
    shift = normal.inv_cdf(min(max(below, 0.5 / len(draws)), 1 - 0.5 / len(draws)))
    levels = [normal.cdf(2 * shift + normal.inv_cdf(level)) for level in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)]
    low, high = np.quantile(draws, levels).tolist()
    return low, high


if __name__ == "__main__":
    sys.exit(main())
