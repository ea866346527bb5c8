"""The results of a detection-gain run as text, for people at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.common.printed_table import aligned, named_data, number, of_scenes, with_interval
from experiments.gain.records import BLURRED, CONTROL

if TYPE_CHECKING:
    from detection.bootstrap import Interval
    from experiments.gain.records import GainRun, Result


def run_table(run: GainRun) -> str:
    """All results of a run, a block for each detector and blur."""
    head = f"{run.data['n_pictures']} pictures{of_scenes(run.protocol['bootstrap'])}{named_data(run.data)}"
    if run.data["limit"] is not None:
        head += f" (--limit {run.data['limit']} of {run.data['n_annotated']}: not the figures of the whole set)"
    elif run.data["n_pictures"] < run.data["n_annotated"]:
        head += f" (of {run.data['n_annotated']} that are annotated)"
    return "\n\n".join([head, *(_block(result) for result in run.results)])


def _block(result: Result) -> str:
    arms = [("arm", "AP", "AP50", "AP75", "small", "medium", "large", "AR", "boxes", "PSNR", "SSIM", "exact")]
    arms += [
        (
            name,
            number(arm.ap),
            number(arm.ap50),
            number(arm.ap75),
            number(arm.ap_small),
            number(arm.ap_medium),
            number(arm.ap_large),
            number(arm.ar),
            str(arm.n_predictions),
            number(arm.psnr, 2),
            number(arm.ssim, 4),
            number(arm.n_exact, 0),
        )
        for name, arm in result.arms.items()
    ]
    parts = [f"{result.detector}, {result.blur}{_left_out(result)}", aligned(arms)]
    if result.recovered:
        of_fused = {
            f"beyond {CONTROL}": result.beyond_control,
            "recovered in two passes": result.recovered_looking_twice,
            "harm in two passes": result.harm_looking_twice,
        }
        if not result.beyond_control:
            of_fused = {}
        over = result.over_first
        of_several = ("over the first",) if over else ()
        gains: list[tuple[str, ...]] = [
            ("deblurrer", "recovered fraction", "AP difference", "harm to sharp pictures", *of_fused, *of_several)
        ]
        gains += [
            (
                name,
                _shown(result.recovered[name]),
                _shown(result.ap_difference[name]),
                _shown(result.harm[name]),
                *(_shown(figures.get(name)) for figures in of_fused.values()),
                *(_shown(over[name][1] if name in over else None) for _ in of_several),
            )
            for name in result.recovered
        ]
        parts.append(aligned(gains))
    if result.consistency:
        agreement = [("consistency with own sharp boxes", "mean", "IoU .50")]
        agreement += [
            (name, number(entry.consistency), number(entry.consistency50)) for name, entry in result.consistency.items()
        ]
        parts.append(aligned(agreement))
    return "\n".join(parts)


def _left_out(result: Result) -> str:
    """Over how many pictures PSNR is averaged, where these are not all."""
    blurred = result.arms[BLURRED]
    if blurred.n_psnr is None or blurred.n_psnr == blurred.n_pictures:
        return ""
    return f"; PSNR over the {blurred.n_psnr} of {blurred.n_pictures} pictures that no arm has exactly"


def _shown(interval: Interval | None) -> str:
    return number(None) if interval is None else with_interval(interval.value, interval.low, interval.high)
