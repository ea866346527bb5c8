"""Released networks: what is saved comes back, and a file that is not right says so in one line."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
import torch
from torch import nn

from deblur import Deblurrer, released
from deblur.errors import DeblurError
from deblur.networks import MIMOUNetConfig, MSTSGMConfig, NetworkConfig, build
from deblur.released import find_released, list_released, load_released, save_released

if TYPE_CHECKING:
    from pathlib import Path

SMALL = MSTSGMConfig(widths=(8, 12, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), frames=2)


@pytest.fixture
def network() -> nn.Module:
    return build(SMALL)


@pytest.fixture
def saved(tmp_path: Path, network: nn.Module) -> Path:
    return save_released(tmp_path, "small", network, SMALL, {"data": "random"})


def change_card(weights: Path, **changes: object) -> None:
    card = weights.with_suffix(".json")
    card.write_text(json.dumps({**json.loads(card.read_text()), **changes}))


@pytest.mark.parametrize("config", [SMALL, MIMOUNetConfig(width=8, blocks=1)])
def test_what_is_saved_comes_back(tmp_path: Path, config: NetworkConfig) -> None:
    network = build(config)
    x = torch.rand(2, 3, 16, 24)
    network(x)  # so that batch norm has statistics worth keeping
    path = save_released(tmp_path / "new" / "folder", "mine", network, config, {"scores": {"psnr": None}})
    assert save_released(str(tmp_path / "new" / "folder"), "mine", network, config, {"scores": {"psnr": None}}) == path
    loaded, card = load_released(path)
    assert (path.name, card["name"], card["scores"]) == ("mine.safetensors", "mine", {"psnr": None})
    assert not loaded.training
    with torch.inference_mode():
        torch.testing.assert_close(loaded(x).picture, network.eval()(x).picture, rtol=0, atol=0)
    assert sorted(each.name for each in path.parent.iterdir()) == ["mine.json", "mine.safetensors"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, network: nn.Module, name: str) -> None:
    with pytest.raises(ValueError, match="no file can have the name"):
        save_released(tmp_path, name, network, SMALL, {})
    assert list(tmp_path.iterdir()) == []


def test_weights_that_would_not_come_back_replace_none(saved: Path, network: nn.Module) -> None:
    before = saved.read_bytes()
    for other, config in ((nn.Sequential(network), SMALL), (network, dataclasses.replace(SMALL, frames=3))):
        with pytest.raises(ValueError, match=r"the network is not that of its sizes: \S+ is "):
            save_released(saved.parent, saved.stem, other, config, {})
    assert saved.read_bytes() == before


def test_memory_layout_and_precision_of_what_is_saved_do_not_matter(tmp_path: Path, network: nn.Module) -> None:
    network = network.to(memory_format=torch.channels_last).to(torch.bfloat16)
    loaded, _ = load_released(save_released(tmp_path, "half", network, SMALL, {}))
    assert {each.dtype for each in loaded.parameters()} == {torch.float32}
    assert all(each.requires_grad for each in loaded.parameters())


def test_loading_leaves_the_random_state_alone(saved: Path) -> None:
    before = torch.get_rng_state()
    load_released(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_card_cannot_be_contradicted(tmp_path: Path, network: nn.Module) -> None:
    with pytest.raises(ValueError, match="sha256"):
        save_released(tmp_path, "small", network, SMALL, {"sha256": "0" * 64})
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_released(tmp_path, "small", network, SMALL, {"psnr": float("nan")})
    assert not list(tmp_path.iterdir())


def test_weights_that_are_loaded_in_inference_mode_can_be_followed(saved: Path) -> None:
    with torch.inference_mode():
        network, _ = load_released(saved)
        deblurrer = Deblurrer.load("default+search", "cpu")
    search = deblurrer.search
    assert search is not None
    for module in (network, deblurrer._network, search._network, search._critic):
        assert not any(value.is_inference() for value in module.state_dict().values())


def test_a_tampered_file_is_refused(saved: Path) -> None:
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    with pytest.raises(DeblurError, match="sha256 differs"):
        load_released(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "not of format 1"),
        ({"sha256": None}, "lacks a proper 'sha256'"),
        ({"name": "phones/night"}, "has the name 'phones/night', which no file can have"),
        ({"name": ".."}, "has the name '..', which no file can have"),
        ({"network": "mstsgm"}, "lacks a proper 'network'"),
        ({"network": {"kind": "posix.system"}}, "unknown network kind 'posix.system'"),
        ({"network": {"kind": "mstsgm", "widths": [8, 12, 20]}}, "does not fit the network of its card"),
        ({"network": {"kind": "mstsgm", "encoder_blocks": [10**8, 1, 1]}}, "is a list of whole numbers up to 4096"),
        ({"network": {"kind": "mstsgm", "frames": 10**25}}, "'frames' .* is a whole number up to 4096, not 1000"),
        ({"network": {"kind": "mimo-unet", "blocks": 10**8}}, "'blocks' .* is a whole number up to 4096"),
    ],
)
def test_a_wrong_card_is_one_clear_line(saved: Path, changes: dict[str, object], message: str) -> None:
    change_card(saved, **changes)
    with pytest.raises(DeblurError, match=message) as caught:
        load_released(saved)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "has no card"), (b"{", "no JSON"), (b"\xff", "no JSON"), (b"[]", "not of format 1")]
)
def test_a_card_that_cannot_be_read(saved: Path, content: bytes | None, message: str) -> None:
    card = saved.with_suffix(".json")
    card.unlink() if content is None else card.write_bytes(content)
    with pytest.raises(DeblurError, match=message):
        load_released(saved)


def test_a_pickle_under_the_right_hash_is_not_opened(saved: Path) -> None:
    torch.save({"weights": torch.zeros(3)}, saved)
    change_card(saved, sha256=released.hashlib.sha256(saved.read_bytes()).hexdigest())
    with pytest.raises(DeblurError, match="no safetensors file"):
        load_released(saved)


def test_names_are_looked_up_in_the_released_folder(
    tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(released, "RELEASED_FOLDER", tmp_path)
    assert list_released() == ["small"]
    assert find_released("small") == saved
    assert find_released(saved) == saved
    monkeypatch.setattr(released, "DEFAULT_NAME", "small")
    assert find_released() == find_released("default") == saved
    with pytest.raises(DeblurError, match=r"unknown network 'smal': give a released name \(small\)"):
        find_released("smal")
    with pytest.raises(DeblurError, match=r"mstsgm has no released weights .*: small.*deblur.train --network mstsgm "):
        find_released("mstsgm")
    with pytest.raises(DeblurError, match=r"no weights at ~no-one/gone.safetensors"):
        find_released("~no-one/gone.safetensors")
    with pytest.raises(DeblurError, match=r"no weights at .*gone.safetensors"):
        find_released(tmp_path / "gone.safetensors")


def test_every_released_network_loads_and_its_card_says_what_it_is() -> None:
    for name in list_released():
        network, card = load_released(name)
        assert card["name"] == name
        assert {"scores", "commit", "device", "date"} <= set(card), name
        with torch.inference_mode():
            assert network(torch.rand(1, 3, 16, 16)).picture.isfinite().all()


def test_files_hold_float32_alone(saved: Path) -> None:
    tensors = safetensors.torch.load_file(saved)
    assert {each.dtype for each in tensors.values()} <= {torch.float32, torch.int64}
