"""What a run found, in sentences that say no more than its intervals do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from experiments.gain.records import BLURRED, CONTROL, SHARP, deblurred_arm
from experiments.plotting.style import MINUS, in_hundredths

if TYPE_CHECKING:
    from collections.abc import Callable

    from detection.bootstrap import Interval
    from experiments.gain.records import Result
    from experiments.plotting.runs import Runs

DASH = "\N{EN DASH}"
Side = Literal["better", "worse", "open"]
Verdict = Literal["better", "worse", "open", "perhaps-control", "below-control"]
_VERDICT_WORDS: dict[Verdict, str] = {
    "better": "Restoring helps",
    "worse": "Restoring harms",
    "open": "Not decided",
    "perhaps-control": "Perhaps the second pass alone",
    "below-control": "Less than a second pass",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One deblurrer with one detector at one blur.

    Attributes:
        where: detector and blur.
        deblurrer: its name.
        is_fused: whether it is of fused boxes, which are judged by their control too.
        verdict: on which side of 0 the interval of the AP difference lies; ``open`` where it includes 0 or is missing.
            Fused boxes are ``better`` or ``worse`` only where the interval of the difference to their control lies on
            the same side of 0, and ``open`` where that one is missing. Else they are ``below-control`` where it lies
            below 0, whatever the difference to the blurred pictures, and ``perhaps-control`` where that difference is
            sure and may come from the second pass alone.
        verdict_words: the same for a reader.
        headline: the recovered fraction, or the AP difference where it has no interval: beside a small loss to blur a
            fraction may be of any size.
        interval: its interval in words.
        sentences: the whole finding.
        bar: value, low and high of the recovered fraction in percent, for a small picture; None where not defined.
    """

    where: str
    deblurrer: str
    is_fused: bool
    verdict: Verdict
    verdict_words: str
    headline: str
    interval: str
    sentences: str
    bar: tuple[float, float, float] | None


def findings(runs: Runs) -> list[Finding]:
    """Every comparison of the first run, in its order, but the control's: nothing is restored in it."""
    run = runs.runs[0]
    fused = {record.name for record in run.record.deblurrers if record.kind == "fused"}
    found = []
    for detector, blur in runs.pairs:
        result = run.record.result(detector, blur)
        if BLURRED in result.arms:
            names = [name for name in result.ap_difference if deblurred_arm(name) in result.arms and name != CONTROL]
            where = f"{detector}, {runs.blur_label(blur)}"
            found += [_finding(result, name, where, name in fused) for name in names]
    return found


def summary(found: list[Finding], confidence: str) -> str:
    """A few sentences over all comparisons; empty where there is only one."""
    if len(found) < 2:
        return ""
    counts = Counter(finding.verdict for finding in found)
    parts = [
        f"Of {len(found)} comparisons (detector, blur, deblurrer), restoring raised AP in {counts['better']} and"
        f" lowered it in {counts['worse']}, with a {confidence} % interval that leaves out 0; {counts['open']} are not"
        " decided."
    ]
    if any(finding.is_fused for finding in found):
        parts.append(
            "Fused boxes count as raised only where they surely beat their control too, two passes without"
            f" restoring, and as lowered only where they stay below it: in {counts['perhaps-control']} others AP surely"
            f" changed, but perhaps by the second pass alone, and in {counts['below-control']} it is surely less than"
            " that pass gives."
        )
    parts.append("Each interval stands for itself: among many, some leave out 0 by chance.")
    return " ".join(parts)


def points(value: float | None) -> str:
    """A score from 0 to 1 in points of 100: ``42.1``."""
    return DASH if value is None else f"{100 * value:.1f}".replace("-", MINUS)


def percent(value: float | None) -> str:
    """A fraction as ``32 %``, or ``0.3 %`` where ``0 %`` would hide that it is none."""
    return DASH if value is None else f"{in_hundredths(value, 0)} %"


def signed(value: float | None) -> str:
    """A difference of scores in points with its sign: ``+4.2``, or ``-0.02`` where one digit would hide the side."""
    return DASH if value is None else in_hundredths(value, 1, "+")


def side_of(difference: Interval) -> Side:
    """On which side of 0 an interval lies."""
    if difference.low is not None and difference.low > 0:
        return "better"
    if difference.high is not None and difference.high < 0:
        return "worse"
    return "open"


def _finding(result: Result, deblurrer: str, where: str, is_fused: bool) -> Finding:
    difference = result.ap_difference[deblurrer]
    recovered = result.recovered.get(deblurrer)
    beyond = result.beyond_control.get(deblurrer)
    side = side_of(difference)
    verdict = _fused_verdict(side, beyond) if is_fused else side
    sharp, blurred, restored = (
        result.arms[arm].ap if arm in result.arms else None for arm in (SHARP, BLURRED, deblurred_arm(deblurrer))
    )
    parts = []
    if sharp is not None:
        parts.append(f"AP is {points(sharp)} on the sharp pictures and {points(blurred)} on the blurred ones.")
    else:
        parts.append(f"AP is {points(blurred)} on the blurred pictures; there are no sharp ones to compare with.")
    parts.append(f"Restored by {deblurrer}, they give {points(restored)}: {_difference_words(difference)}.")
    if verdict == side:
        parts.append(_decision_words(difference, side))
    if deblurrer in result.over_first:
        first, more = result.over_first[deblurrer]
        parts.append(f"Beside those restored by {first} that is a difference of {_difference_words(more)}.")
    if beyond is not None:
        parts.append(_control_words(result.ap_difference[CONTROL], beyond))
        parts += _two_passes_words(result.recovered_looking_twice.get(deblurrer))
    bar, headline, interval = None, signed(difference.value), f"points of AP{_ends(difference, signed)}"
    if recovered is None or recovered.value is None:
        if sharp is not None:
            parts.append("Blur cost no AP here, so there is no fraction of it to recover.")
    elif recovered.low is None or recovered.high is None:
        parts.append(_no_interval_words(recovered))
    else:
        bar = (100 * recovered.value, 100 * recovered.low, 100 * recovered.high)
        headline, interval = percent(recovered.value), f"of the lost AP recovered{_ends(recovered, percent)}"
    parts += _harm_words("Sharp pictures put through it", result.harm.get(deblurrer))
    if is_fused:
        words = "Beside two passes over the sharp pictures, those put through it"
        parts += _harm_words(words, result.harm_looking_twice.get(deblurrer))
    words, sentences = _VERDICT_WORDS[verdict], " ".join(parts)
    return Finding(where, deblurrer, is_fused, verdict, words, headline, interval, sentences, bar)


def _fused_verdict(side: Side, beyond: Interval | None) -> Verdict:
    """The verdict on fused boxes: their AP lies on a side of the blurred pictures', and ``beyond`` their control's."""
    if beyond is None or beyond.low is None:
        return "open"
    beside_control = side_of(beyond)
    if side == beside_control:
        return side
    if beside_control == "worse":
        return "below-control"
    return "open" if side == "open" else "perhaps-control"


def _difference_words(difference: Interval) -> str:
    text = f"{signed(difference.value)} points"
    if difference.low is None or difference.high is None:
        return text
    return f"{text} ({100 * difference.confidence:g} % interval {signed(difference.low)} to {signed(difference.high)})"


def _decision_words(difference: Interval, side: Side) -> str:
    if difference.low is None or difference.high is None:
        return "Without an interval it stays open how much of that is chance."
    if side == "better":
        return "The interval lies above 0: on pictures like these, restoring helps this detector."
    if side == "worse":
        return "The interval lies below 0: on pictures like these, restoring harms this detector."
    return "The interval includes 0: these pictures do not decide whether restoring helps."


def _control_words(control: Interval, beyond: Interval) -> str:
    text = (
        "The boxes are merged from two passes of the detector; test-time augmentation alone, two passes over the"
        f" blurred picture and its mirror image, changes AP by {signed(control.value)} points: "
    )
    text += f"restoring adds {_difference_words(beyond)} to that, "
    if beyond.low is None or beyond.high is None:
        return f"{text}and without an interval it stays open how much of it is chance."
    words = {
        "better": "and the interval lies above 0: this much is the restoration's.",
        "worse": "and the interval lies below 0: the augmentation alone does more for this detector.",
        "open": "and the interval includes 0: nothing here says that restoring adds to the augmentation.",
    }
    return text + words[side_of(beyond)]


def _two_passes_words(share: Interval | None) -> list[str]:
    if share is None or share.value is None:
        return []
    text = f"With two passes over the sharp pictures too, {percent(share.value)} of what blur takes is recovered"
    return [f"{text}{_ends(share, percent) or f', which has no interval{_why_none(share)}'}."]


def _no_interval_words(recovered: Interval) -> str:
    return f"The recovered fraction, {percent(recovered.value)}, has no interval{_why_none(recovered)}."


def _why_none(recovered: Interval) -> str:
    if not recovered.n_excluded:
        return ""
    return ": in too many draws blur cost nothing, so there was nothing to recover"


def _ends(interval: Interval, words: Callable[[float], str]) -> str:
    """What stands behind a figure with an interval, with a space before it; nothing where it has none."""
    if interval.low is None or interval.high is None:
        return ""
    return f" ({words(interval.low)} to {words(interval.high)})"


def _harm_words(pictures: str, harm: Interval | None) -> list[str]:
    if harm is None or harm.value is None:
        return []
    if harm.value == harm.low == harm.high == 0:
        return [f"{pictures} keep their AP."]
    text = f"{pictures} change AP by {signed(-harm.value)} points"
    if harm.low is None or harm.high is None:
        return [f"{text}."]
    text += f" ({signed(-harm.high)} to {signed(-harm.low)})"
    return [f"{text}, which may be chance." if harm.low <= 0 <= harm.high else f"{text}."]
