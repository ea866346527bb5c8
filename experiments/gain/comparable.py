"""Whether the figures of two detection-gain runs compare: made in the same way, on the same data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experiments.gain.protocol import FOUND, TOLD, adapters

if TYPE_CHECKING:
    from experiments.gain.records import GainRun


def differing_keys(first: GainRun, second: GainRun) -> list[str]:
    """The keys of protocol and data, dotted and sorted, in which two runs differ; what they measured may differ.

    Of the data the hashes and counts are looked at: where the files lay does not matter. Results go by what the folder
    of blurred pictures is called, so one entry says where nothing but its name differs. Truth and adapter are those of
    the detectors of both runs: what a detector more knows, and how it is asked, is nothing to the others.
    """
    differing = _differing(_protocol(first), _protocol(second), "protocol")
    # How many units are drawn hangs on the pictures alone, which are looked at below.
    differing = [key for key in differing if key != "protocol.bootstrap.n_units"]
    # What is done along a path stands in runs that have one.
    fusions = [gain.protocol.get("fusion", {}) for gain in (first, second)]
    along = {f"protocol.fusion.{key}" for key in (TOLD, FOUND) if not all(key in fusion for fusion in fusions)}
    differing = [key for key in differing if key not in along]
    # How boxes are fused stands in every run, and is nothing to one that has none.
    if not _has_fused(first) or not _has_fused(second):
        differing = [key for key in differing if key.split(".")[:2] != ["protocol", "fusion"]]
    one, other = (adapters(gain.protocol, [record.name for record in gain.detectors]) for gain in (first, second))
    for name in one.keys() & other.keys():
        differing += _differing(one[name], other[name], f"protocol.detection.adapter.{name}")
    here, there = _content(first), _content(second)
    blurred, others = here["blurred"], there["blurred"]
    if blurred != others and sorted(blurred.values()) == sorted(others.values()):
        names = " and ".join(", ".join(sorted(each)) for each in (blurred, others))
        differing.append(f"the names of the same blurred pictures ({names}: name both alike and make one run again)")
        del here["blurred"], there["blurred"]
    differing += _differing(here, there, "data")
    if not _have_one_truth(first, second):
        differing.append("data.annotations")
    same_truth = first.data["annotations"]["sha256"] == second.data["annotations"]["sha256"]
    same_blurs = first.data["blurred"] == second.data["blurred"]
    if not differing and same_truth and same_blurs and first.data["sha256"] != second.data["sha256"]:
        differing.append("data.sha256")
    return sorted(differing)


def _protocol(gain: GainRun) -> dict[str, Any]:
    """What was done with every detector."""
    detection = {key: value for key, value in gain.protocol["detection"].items() if key != "adapter"}
    return gain.protocol | {"detection": detection}


def _have_one_truth(first: GainRun, second: GainRun) -> bool:
    """Whether detectors of both runs have the same truth in each; of runs without such a detector, whether any has."""
    one, other = map(_truths, (first, second))
    both = one.keys() & other.keys()
    return all(one[name] == other[name] for name in both) if both else not set(one.values()).isdisjoint(other.values())


def _truths(gain: GainRun) -> dict[str, str]:
    """The hash of the truth by detector; older runs know that of all their detectors together."""
    together = gain.data["annotations"]["sha256"]
    return {record.name: record.truth_sha256 or together for record in gain.detectors}


def _has_fused(gain: GainRun) -> bool:
    return any(record.kind == "fused" for record in gain.deblurrers)


def _content(gain: GainRun) -> dict[str, Any]:
    """What a run's pictures are, wherever they lay; blurred ones by the name that results have for them."""
    data, alike = gain.data, _made_alike(gain)
    return {
        "sharp": None if data["sharp"] is None else data["sharp"]["sha256"],
        "blurred": {name: sha256 for name, sha256 in data["blurred"].items() if name not in alike},
        "classes": data["classes"],
        "n_pictures": data["n_pictures"],
        "limit": data["limit"],
    }


def _made_alike(gain: GainRun) -> set[str]:
    """The blurs that are made of sharp pictures by name and seed alone.

    Processors round a few of their pixels differently, so hashes would part what two people made alike; that the sharp
    pictures, the kind, the length and the seed are the same says it.
    """
    return {blur.name for blur in gain.blurs if blur.length is not None and blur.kind != "measured"}


def _differing(one: Any, other: Any, name: str) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            key for part in {**one, **other} for key in _differing(one.get(part), other.get(part), f"{name}.{part}")
        ]
    return [] if one == other else [name]
