"""Put trained weights among those that ship, with a card that says what they are and what they score.

    python -m experiments.release runs/train/nano/weights/best.safetensors mstsgm-nano \
        --data "547 photographs, blurred while training" --limits "gains little on blur longer than 20 px" \
        --restoration experiments/results/restoration-reds --gain experiments/results/detection-gain \
        --limits-picture experiments/results/restoration-reds/examples/mstsgm-nano/worst-1-000.png

The recipe, minutes, device and commit come from the card that training wrote; scores come from the runs named, which
must have scored the very weights that are written, under the new name: ``--deblurrer mstsgm-nano=FILE``. Without runs
the card holds the validation scores of training alone. Weights that ``--half`` rounds are there once they are written:
score these, and give the command again, the options the same, with the runs. The picture of the
limits lies beside the card, as NAME.jpg; weights that are released again keep the one they have.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deblur.cli import Collect, folder_name, given_path, not_empty, parse_args, run
from deblur.errors import DeblurError
from deblur.naming import GYROSCOPE, SUFFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_MADE_BY_TRAINING = ("trained_with", "steps", "minutes", "commit", "device", "date")
LIMITS_SIDE = 1440  # pixels; three panels side by side stay legible


def build_parser() -> argparse.ArgumentParser:
    """The options of this command."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments.release", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("weights", help="a .safetensors file that training wrote, its card beside it")
    parser.add_argument("name", type=_released_name, help="name to release it under")
    parser.add_argument("--data", type=not_empty, required=True, help="what it was trained on, in words")
    parser.add_argument("--limits", type=not_empty, required=True, help="what it does badly, in words")
    parser.add_argument(
        "--limits-picture",
        type=given_path,
        metavar="FILE",
        help="what it does badly, as experiments.restoration draws it",
    )
    for option, runs in (("--restoration", "restoration runs"), ("--gain", "detection-gain runs")):
        parser.add_argument(option, nargs="+", action=Collect, type=not_empty, default=[], metavar="RUN", help=runs)
    parser.add_argument(
        "--half", action="store_true", help="round weights to 16 bits, for half the file; score what that leaves"
    )
    parser.add_argument(
        "--consistent",
        action=argparse.BooleanOptionalAction,
        help="whether what it restores along a measured path is made consistent with its picture (default: as the card"
        " of the weights has it, or yes)",
    )
    parser.add_argument("--output", type=given_path, metavar="DIR", help="folder to write to (default: deblur/weights)")
    return parser


def _released_name(text: str) -> str:
    """Argument type: a name that ``--deblurrer`` finds again and takes for nothing else."""
    if "+" in folder_name(text) or "=" in text or text.endswith(SUFFIX) or text in {"default", "none"}:
        raise argparse.ArgumentTypeError(
            f"{text!r} cannot name weights: a name has no + and no = and does not end in {SUFFIX}, and 'default' and "
            "'none' are taken"
        )
    return text


def main(argv: Sequence[str] | None = None) -> int:
    """Write the released weights and their card; returns the exit code."""
    options = parse_args(build_parser(), argv)

    def body() -> int:
        import torch

        from deblur.networks import config_from_dict
        from deblur.path_search.trust import PathTrust
        from deblur.pictures import read_picture, scale_down, write_picture
        from deblur.released import RELEASED_FOLDER, find_released, load_released, released_sha256, save_released
        from experiments.common.json_files import decoded

        file = find_released(options.weights).with_suffix(".json")
        network, trained = load_released(options.weights)
        if options.half:
            network = network.half()
        card = _training_facts(trained, options.weights)
        card |= {"data": options.data, "limits": options.limits}
        if options.consistent is not None:
            card["consistent"] = options.consistent
        folder = options.output or RELEASED_FOLDER
        beside = folder / f"{options.name}.jpg"
        shown = options.limits_picture
        if shown is None and "limits_picture" in trained:
            shown = find_released(options.weights).parent / decoded(file, lambda: _file_name(trained["limits_picture"]))
        picture = None
        if shown is not None:
            picture, card["limits_picture"] = read_picture(shown), beside.name
        sha256 = released_sha256(network)
        trust = PathTrust.released({"name": options.name, "sha256": sha256}, torch.device("cpu"))
        # What its card says already holds as long as nothing restores otherwise.
        alike = trained["sha256"] == sha256 and trained.get("consistent", True) == card.get("consistent", True)
        scored = decoded(file, lambda: dict(trained["scores"])) if alike else {}
        of = _Released(options.name, sha256, card.get("consistent", True), None if trust is None else trust.describe())
        card["scores"] = {
            "validation": decoded(file, lambda: trained["scores"]["validation"]),
            "restoration": [row for run in options.restoration for row in _restoration_rows(Path(run), of)]
            or scored.get("restoration", []),
            "detection": [row for run in options.gain for row in _detection_rows(Path(run), of)]
            or scored.get("detection", []),
        }
        config = config_from_dict(trained["network"])
        is_stale = picture is None and _is_shown(beside)
        if picture is not None and not (beside.is_file() and beside.samefile(shown)):
            write_picture(beside, scale_down(picture, LIMITS_SIDE), quality=85)
        print(save_released(folder, options.name, network, config, card))
        if is_stale:
            beside.unlink(missing_ok=True)
        return 0

    return run(body)


def _is_shown(picture: Path) -> bool:
    """Whether the card beside it, which is written over, has it for the picture of its weights' limits."""
    from deblur.released import released_card

    try:
        card = released_card(picture.with_suffix(SUFFIX))
    except DeblurError:  # nothing was released under this name
        return False
    return bool(card.get("limits_picture") == picture.name)


def _training_facts(card: Mapping[str, Any], weights: str) -> dict[str, Any]:
    """What training wrote into a card, and what was decided since.

    Raises:
        DeblurError: the card lacks a part of it.
    """
    missing = [key for key in _MADE_BY_TRAINING if key not in card]
    if missing:
        raise DeblurError(f"the card of {weights} lacks {', '.join(missing)}: it was not written by training")
    if not isinstance(card.get("consistent", True), bool):
        raise DeblurError(f"the card of {weights} says consistent: {card['consistent']!r}; it is true or false")
    return {key: card[key] for key in (*_MADE_BY_TRAINING, "sittings", "consistent", "max_pixels") if key in card}


def _file_name(name: object) -> str:
    if not isinstance(name, str) or Path(name).name != name:
        raise ValueError(f"limits_picture is {name!r}, not the name of a file beside the card")
    return name


class _Released(NamedTuple):
    """What runs must have scored.

    Attributes:
        name: that it is released under.
        sha256: of its weights.
        consistent: as the card says it.
        trust: hash of what tells where paths are believed; None where nothing has learnt it from these weights.
    """

    name: str
    sha256: str
    consistent: bool
    trust: str | None


def _refuse_other_weights(folder: Path, name: str, scored: str | None, released: str) -> None:
    """A name says little: weights that were trained on, or rounded since, go by the same one."""
    if scored != released:
        raise DeblurError(
            f"{folder} scored other weights under the name {name} (sha256 {str(scored)[:12]}, released is "
            f"{released[:12]}): score the released ones, give --half if the run scored rounded ones, or leave out "
            "the run"
        )


def _refuse_other_way(folder: Path, name: str, scored: bool | None, released: bool) -> None:
    """Told the path, the same weights restore in two ways. Runs from before that was written down pass."""
    if scored is not None and scored != released:
        ways = {True: "consistent with its picture", False: "not made consistent"}
        raise DeblurError(
            f"{folder} scored {name} {ways[scored]}, and the card says {ways[released]}: measure it anew with the card"
            " as it is to be, or leave the run out"
        )


def _refuse_other_trust(folder: Path, name: str, scored: str | None, released: str | None) -> None:
    """Told the path, the same weights restore otherwise where another network says how far it is believed."""
    if scored != released:
        one, other = (f"as {trust[:12]} says" if trust else "everywhere" for trust in (scored, released))
        raise DeblurError(
            f"{folder} scored {name} with the path believed {one}, and the weights as they are believe it {other}: "
            "measure it anew, or leave the run out"
        )


def _restoration_rows(folder: Path, of: _Released) -> list[dict[str, Any]]:
    """The row of the network, and where the run has it that of the network told the camera's path."""
    told = of.name + GYROSCOPE
    rows = [restoration_row(folder, of.name) | {"told": False}]
    methods = _restoration_run(folder)["methods"]
    if told in methods:
        rows.append(restoration_row(folder, told) | {"told": True})
        _refuse_other_way(folder, told, methods[told].get("consistent"), of.consistent)
        _refuse_other_trust(folder, told, methods[told].get("trust"), of.trust)
    for one in (of.name, told):
        if one in methods:
            _refuse_other_weights(folder, one, methods[one].get("sha256"), of.sha256)
    return rows


def restoration_row(folder: Path, name: str) -> dict[str, Any]:
    """What one restoration run says of the network ``name``, the input's scores beside it, and what was scored how."""
    from experiments.common.json_files import decoded

    metrics = _restoration_run(folder)
    if name not in metrics["methods"]:
        raise DeblurError(f"{folder}/metrics.json has no method {name}: it scores {', '.join(metrics['methods'])}")
    method = metrics["methods"][name]

    def row() -> dict[str, Any]:
        return {
            "run": folder.name,
            "n": metrics["n"],
            "limit": metrics["limit"],
            "data_set": metrics["data"]["data_set"],
            "blur": metrics["data"]["blur"],
            "aligned": metrics["protocol"]["alignment"] != "none",
            "input": metrics["input"],
            **{key: method[key] for key in ("psnr", "psnr_float", "ssim")},
        }

    return decoded(folder / "metrics.json", row)


def _detection_rows(folder: Path, of: _Released) -> list[dict[str, Any]]:
    """The rows of the deblurrer; where the run has them, also told the camera's path, and of fused boxes."""
    from experiments.gain.deblurrer_rows import detection_scores
    from experiments.gain.files import read_metrics
    from experiments.gain.records import fused_name

    content = read_metrics(folder)
    known = {record.name: record for record in content.deblurrers}
    rows = []
    for one, told in ((of.name, False), (of.name + GYROSCOPE, True)):
        if one in known:
            _refuse_other_weights(folder, one, known[one].sha256, of.sha256)
            _refuse_other_way(folder, one, known[one].consistent, of.consistent)
            if told:
                _refuse_other_trust(folder, one, known[one].trust, of.trust)
        for each, fused in ((one, False), (fused_name(one), True)):
            if each == of.name or each in known:
                rows += [row | {"told": told, "fused": fused} for row in detection_scores(folder, content, each)]
    return rows


def _restoration_run(folder: Path) -> dict[str, Any]:
    """The metrics of a finished restoration run.

    Raises:
        DeblurError: the folder holds none.
    """
    from experiments.common.json_files import read_json

    file = folder / "metrics.json"
    content = read_json(file)
    if "methods" not in content:
        raise DeblurError(f"{file} is not of a restoration run; make one with python -m experiments.restoration")
    return content


if __name__ == "__main__":
    sys.exit(main())
