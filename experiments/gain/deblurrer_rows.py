"""What a detection-gain run says of one deblurrer, as cards and the README's tables have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deblur.errors import DeblurError
from experiments.common.json_files import decoded
from experiments.gain.records import BLURRED, SHARP, deblurred_arm

if TYPE_CHECKING:
    from pathlib import Path

    from experiments.gain.records import GainRun, Result


def detection_scores(folder: Path, content: GainRun, name: str) -> list[dict[str, Any]]:
    """What the detection-gain run in ``folder`` says of the deblurrer ``name``: a row for each detector and blur.

    Rows of a run of a part of its pictures or classes have its ``limit`` or its ``classes``.
    """
    known = [record.name for record in content.deblurrers]
    if name not in known:
        raise DeblurError(f"{folder}/metrics.json has no deblurrer {name}: it has {', '.join(known) or 'none'}")

    data_set, data_blur = content.data.get("data_set"), content.data.get("blur")
    scored = {"data_set": data_set, "data_blur": data_blur} if data_set or data_blur else {}
    # Only where they are given: the figures of a part of the set are not those of the whole.
    scored |= {key: content.data[key] for key in ("limit", "classes") if content.data[key] is not None}

    def row(result: Result) -> dict[str, Any]:
        recovered, harm = result.recovered[name], result.harm[name]
        twice = result.recovered_looking_twice.get(name)
        harm_twice = result.harm_looking_twice.get(name)
        return {
            "run": folder.name,
            "detector": result.detector,
            "blur": result.blur,
            **scored,
            "ap_sharp": result.arms[SHARP].ap if SHARP in result.arms else None,
            "ap_blurred": result.arms[BLURRED].ap,
            "ap_deblurred": result.arms[deblurred_arm(name)].ap,
            "recovered": recovered.value,
            "recovered_interval": [recovered.low, recovered.high],
            "recovered_looking_twice": None if twice is None else twice.value,
            "recovered_looking_twice_interval": None if twice is None else [twice.low, twice.high],
            "harm": harm.value,
            "harm_looking_twice": None if harm_twice is None else harm_twice.value,
            "harm_looking_twice_interval": None if harm_twice is None else [harm_twice.low, harm_twice.high],
        }

    return decoded(folder / "metrics.json", lambda: [row(result) for result in content.results])
