"""Released networks: ``NAME.safetensors`` and a card ``NAME.json``: what it is, how it was trained, its scores.

Neither file can run code: safetensors holds numbers alone, and the card names a kind of network of this project and its
sizes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import nn

from deblur.errors import DeblurError
from deblur.naming import DEFAULT_NAME, SUFFIX
from deblur.networks import NETWORK_NAMES, build_without_memory, config_from_dict, config_to_dict
from deblur.runs import make_folder, write_atomically, write_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deblur.networks import NetworkConfig

Learnt = TypeVar("Learnt", bound=nn.Module)
RELEASED_FOLDER = Path(__file__).resolve().parent / "weights"
CARD_FORMAT = 1


def list_released() -> list[str]:
    """Names of the networks released with the project, sorted."""
    return sorted(path.stem for path in RELEASED_FOLDER.glob(f"*{SUFFIX}"))


def find_released(name_or_file: str | Path = "default") -> Path:
    """The .safetensors file of a released network.

    Args:
        name_or_file: a name of ``list_released``, "default", or a .safetensors file with its card beside it.

    Raises:
        DeblurError: there is no such name or file; the message lists the names there are.
    """
    text = str(name_or_file)
    name = DEFAULT_NAME if text == "default" else text
    if name in list_released():
        return RELEASED_FOLDER / f"{name}{SUFFIX}"
    path = Path(text)
    with contextlib.suppress(RuntimeError):  # ~someone who is not known here
        path = path.expanduser()
    if path.suffix == SUFFIX:
        if path.is_file():
            return path
        raise DeblurError(f"no weights at {path}: give a {SUFFIX} file that is there, or a released name ({_known()})")
    if name in NETWORK_NAMES:
        raise DeblurError(
            f"the network {name} has no released weights (those that have: {_known()}): train it with "
            f"'python -m deblur.train --network {name} ...' and give the {SUFFIX} file that the run writes"
        )
    raise DeblurError(f"unknown network {text!r}: give a released name ({_known()}) or a {SUFFIX} file")


def save_released(
    folder: str | Path, name: str, network: nn.Module, config: NetworkConfig, card: Mapping[str, Any]
) -> Path:
    """Write ``folder/NAME.safetensors`` and its card ``folder/NAME.json``, each in one step, over earlier ones.

    Args:
        folder: made where it is missing.
        name: what ``load_released`` will call the network.
        network: made by ``build(config)``; of one that was compiled, the network within.
        config: the network's sizes.
        card: what else the card says, as JSON values: data, recipe, scores, limits, commit, device, date.

    Returns:
        The path of the .safetensors file.

    Raises:
        DeblurError: the folder or a file cannot be written.
        TypeError: the card holds what JSON has no value for.
        ValueError: the card holds NaN, infinity, or a key that is written here: format, name, network or sha256; no
            file can have the name; or the network is not that of ``config``.
    """
    if not _can_be_called(name):
        raise ValueError(f"no file can have the name {name!r}")
    _refuse_another(network, config)
    identity = {"format": CARD_FORMAT, "name": name, "network": config_to_dict(config)}
    if taken := {*identity, "sha256"} & set(card):
        raise ValueError(f"the card's {', '.join(sorted(taken))} is written by save_released itself")
    json.dumps(dict(card), allow_nan=False)  # a card that JSON cannot hold is refused before anything is written
    path = Path(folder) / f"{name}{SUFFIX}"
    make_folder(path.parent)
    content = _content_of(network)
    write_atomically(path, content)
    write_json(path.with_suffix(".json"), {**identity, "sha256": hashlib.sha256(content).hexdigest(), **card})
    return path


def released_sha256(network: nn.Module) -> str:
    """The hash that ``save_released`` will write into the card of this network."""
    return hashlib.sha256(_content_of(network)).hexdigest()


def learnt_from(files: Path, card: Mapping[str, Any]) -> tuple[Path, dict[str, Any]] | None:
    """A file that was learnt from the restorations of a network's very weights, by whatever name these went then.

    Args:
        files: where it lies, with ``*`` in the place of the network's name.
        card: of the weights.

    Returns:
        The file, that of the card's own name before others, and the record beside it; None where there is none.
    """
    written = sorted(files.parent.glob(files.with_suffix(".json").name))
    own = files.name.replace("*", str(card.get("name")))
    for each in sorted(written, key=lambda record: record.with_suffix(files.suffix).name != own):
        record: dict[str, Any] = json.loads(each.read_text(encoding="utf-8"))
        if record["network"]["sha256"] == card["sha256"]:
            return each.with_suffix(files.suffix), record
    return None


def load_learnt(make: Callable[[], Learnt], file: Path, command: str) -> Learnt:
    """A network with weights that belong to another one's; they have a record beside them, but no card.

    Args:
        make: makes the network; what it draws at random is written over, and the random state is left alone.
        file: .safetensors.
        command: module that writes such files.

    Raises:
        DeblurError: the file cannot be read, or is not for this network.
    """
    with torch.random.fork_rng(devices=[]):
        network = make()
    try:
        network.float().load_state_dict(safetensors.torch.load(file.read_bytes()))
    except OSError as error:
        raise DeblurError(f"cannot read {file}: {error.strerror}") from None
    except (safetensors.SafetensorError, RuntimeError):
        raise DeblurError(f"{file} is not of this version: make it anew with 'python -m {command}'") from None
    return network


@torch.inference_mode(mode=False)  # or who loads in that mode gets weights through which nothing can be followed
def load_released(
    name_or_file: str | Path = "default", device: torch.device | str = "cpu"
) -> tuple[nn.Module, dict[str, Any]]:
    """The network, in evaluation mode on ``device``, and its card.

    Raises:
        DeblurError: nothing is found (as ``find_released``), the card is missing or wrong, the weights are not those
            that the card was written for, or they do not fit the network.
    """
    path = find_released(name_or_file)
    card = _read_card(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DeblurError(f"cannot read {path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != card["sha256"]:
        raise DeblurError(f"{path} is not the file that its card describes (sha256 differs): fetch or copy both again")
    # Without memory until the weights come: a card cannot ask for more than its file holds, nor move the random state.
    network = build_without_memory(config_from_dict(card["network"]))
    try:
        network.load_state_dict(safetensors.torch.load(content), assign=True)
    except safetensors.SafetensorError as error:
        raise DeblurError(f"{path} is no safetensors file: {error}") from error
    except RuntimeError as error:  # names or shapes that differ
        raise DeblurError(f"{path} does not fit the network of its card: {' '.join(str(error).split())}") from error
    return network.float().eval().to(device), card


def released_card(name_or_file: str | Path = "default") -> dict[str, Any]:
    """The card of a released network, without the weights.

    Raises:
        DeblurError: nothing is found (as ``find_released``), or the card is missing or wrong.
    """
    return _read_card(find_released(name_or_file))


def _content_of(network: nn.Module) -> bytes:
    return safetensors.torch.save({key: value.contiguous() for key, value in network.state_dict().items()})


def _read_card(weights: Path) -> dict[str, Any]:
    path = weights.with_suffix(".json")
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeblurError(f"{weights} has no card: its {path.name} must lie beside it") from None
    except OSError as error:
        raise DeblurError(f"cannot read the card {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # no UTF-8, or no JSON
        raise DeblurError(f"the card {path} is no JSON: {error}") from error
    if not isinstance(card, dict) or card.get("format") != CARD_FORMAT:
        raise DeblurError(f"the card {path} is not of format {CARD_FORMAT}, the one that this version reads")
    for key, kind in (("name", str), ("sha256", str), ("network", dict)):
        if not isinstance(card.get(key), kind):
            raise DeblurError(f"the card {path} lacks a proper {key!r}")
    if not _can_be_called(card["name"]):
        raise DeblurError(f"the card {path} has the name {card['name']!r}, which no file can have")
    return card


def _can_be_called(name: str) -> bool:
    return Path(name).name == name and name not in {"", ".."} and "\0" not in name


def _refuse_another(network: nn.Module, config: NetworkConfig) -> None:
    """Refuse weights that ``load_released`` could not put into a network of these sizes."""
    own, wanted = (
        {key: tuple(value.shape) for key, value in each.state_dict().items()}
        for each in (network, build_without_memory(config))
    )
    if own != wanted:
        key = next(key for key in (*wanted, *own) if own.get(key) != wanted.get(key))
        raise ValueError(f"the network is not that of its sizes: {key} is {own.get(key)}, not {wanted.get(key)}")


def _known() -> str:
    return ", ".join(list_released()) or "none"
