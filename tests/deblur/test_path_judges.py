"""Critics and judges of a camera's path: how they weigh trials, where they lead, and who has the last word."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from deblur import Deblurrer
from deblur.errors import DeblurError
from deblur.path_search import Judge, PathSearch
from deblur.path_search.critic import RELEASED, Critic, ErrorMap
from deblur.path_search.descent import Stage, Trial
from deblur.path_search.evidence import NAMES, Judged, Look, width_of
from deblur.path_search.judging import judge_file
from deblur.path_search.squares import STATISTICS
from deblur.path_search.trial_path import Frame
from deblur.released import load_released
from tests.deblur.path_searching import BRIEF, CPU, Agrees, Shaken, Sulks, waves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deblur.networks.guided import GuidedNetwork


@pytest.mark.parametrize("content", [b"", b"no weights", None])
def test_a_critic_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None):
    file = tmp_path / "critic.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(DeblurError, match=r"critic\.safetensors"):
        Critic.load(file)


def test_the_total_of_a_map_is_the_error_of_the_picture():
    errors = torch.rand(2, 3, 5)
    torch.testing.assert_close(ErrorMap.total(errors.log()), errors.mean((1, 2)).log() / 2)


def test_a_critic_sees_and_weighs():
    torch.manual_seed(0)
    critic = Critic().eval()
    judged = Judged(torch.randn(3, 2, len(NAMES)), torch.randn(3, 2, 2 * STATISTICS, 16, 25), torch.empty(0))
    energies = critic(judged)
    assert energies.shape == (3,)
    other = judged._replace(squares=judged.squares.flip(-1))
    assert not torch.equal(critic(other), energies)
    other = judged._replace(evidence=judged.evidence + 1)
    assert not torch.equal(critic(other), energies)
    assert critic.sees(judged.squares[0]).shape == (2, 16, 25)


def test_the_judge_has_the_last_word_with_the_network_that_restores(small: Shaken, network: GuidedNetwork):
    paths = torch.stack([*waves(1, 2) / 4, waves(1)[0]])
    likes, objects = Judge(network, Agrees()), Judge(network, Sulks())
    look = likes.look(small.blurred, CPU)
    liked, objected = likes.try_all(look, paths), objects.try_all(look, paths)
    torch.testing.assert_close([trial.energy for trial in objected], [-trial.energy for trial in reversed(liked)])
    assert torch.equal(liked[0].waves, paths[2])
    chosen = likes.choose(look, several := list(paths))
    assert chosen is not None
    assert torch.equal(chosen, paths[2])
    assert objects.choose(look, several) is None
    assert Judge(network, Agrees(), doubt=1e6).choose(look, several) is None
    # Whatever the critic that leads the search thinks of its own paths.
    judged = PathSearch.load(critic=Sulks(), effort=BRIEF, judge=likes)
    assert judged(small.blurred) is not None
    assert judged.describe()["judge"] == likes.describe() != judged.describe()["critic"]
    assert PathSearch.load(critic=Agrees(), effort=BRIEF, judge=objects)(small.blurred) is None


def test_the_last_word_is_said_after_a_look_at_more_of_the_picture(network: GuidedNetwork):
    class Counts(Agrees):
        """Notes how many windows it judges by."""

        def forward(self, judged: Judged) -> torch.Tensor:
            seen.append(judged.evidence.shape[1])
            return super().forward(judged)

    seen: list[int] = []
    judge = Judge(network, Counts())
    look = judge.look(np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8), CPU)
    judge.try_all(look, waves(1))
    judge.choose(look, waves(1))
    assert seen == [4, look.windows, look.windows]
    assert look.windows > 6


def test_a_judge_leads_by_the_strongest_windows_or_by_all_in_turn(monkeypatch: pytest.MonkeyPatch):
    class Windows:
        def __init__(self, places: Sequence[int]) -> None:
            self.places, self.windows = places, len(places)

        def part(self, windows: slice) -> Windows:
            return Windows(self.places[windows])

    def in_turn(critic: Critic, parts: Sequence[Windows], paths: object, stage: Stage) -> list[torch.Tensor]:
        seen.append([list(part.places) for part in parts])
        return []

    def once(critic: Critic, part: Windows, paths: object, stages: Sequence[Stage]) -> list[Trial]:
        seen.append([list(part.places)])
        return []

    seen: list[list[list[int]]] = []
    monkeypatch.setattr("deblur.path_search.judging.follow_by_parts", in_turn)
    monkeypatch.setattr("deblur.path_search.judging.follow", once)
    judge = Judge(torch.nn.Identity(), Critic())  # type: ignore[arg-type]
    # Of an odd number the weakest one leads nowhere.
    for count, pairs in ((1, [[0]]), (2, [[0, 1]]), (4, [[0, 1], [2, 3]]), (5, [[0, 1], [2, 3]])):
        look: Any = Windows(range(count))
        judge.follow(look, [], Stage(1, 2, 0.1))
        judge.follow_all_over(look, [], Stage(1, 2, 0.1))
        assert seen == [pairs[:1], pairs]
        seen.clear()


@pytest.mark.parametrize(("record", "margin"), [({"margin": 24}, 24), ({}, 0)])
def test_a_judge_looks_with_the_margin_that_its_critic_has_learnt_from(
    monkeypatch: pytest.MonkeyPatch, record: dict[str, int], margin: int
):
    monkeypatch.setattr("deblur.path_search.judging.learnt_from", lambda file, card: (file, record))
    monkeypatch.setattr(Critic, "load", lambda file: Critic())
    monkeypatch.setattr("deblur.path_search.judging.Look", lambda *given: given[2:])
    judge = Judge.released(torch.nn.Identity(), {"name": "mine"})  # type: ignore[arg-type]
    assert judge is not None
    picture = np.zeros((60, 80, 3), np.uint8)
    assert judge.look(picture, CPU, 3) == (3, margin)


@pytest.mark.usefixtures("small_copies")
def test_the_judge_leads_in_two_copies(shaken: Shaken, network: GuidedNetwork, monkeypatch: pytest.MonkeyPatch):
    def follow(look: Look, paths: Sequence[torch.Tensor], stage: Stage) -> list[torch.Tensor]:
        """Led to paths that are longer."""
        led.append((look.frame.longest, stage, paths[0]))
        return [2 * path for path in paths[: stage.kept]]

    led: list[tuple[int, Stage, torch.Tensor]] = []
    judge = Judge(network, Agrees())
    monkeypatch.setattr(judge, "follow", follow)
    monkeypatch.setattr(judge, "follow_all_over", follow)
    effort = BRIEF._replace(judged_middle=Stage(2, 5, 0.1), judged_largest=Stage(1, 8, 0.1))
    found = PathSearch.load(critic=Sulks(), effort=effort, judge=judge)(shaken.blurred)
    assert [(side, stage) for side, stage, _ in led] == [(240, effort.judged_middle), (300, effort.judged_largest)]
    # The best path of the smaller copy goes on in the larger one, in its pixels, and the best of all is told.
    torch.testing.assert_close(led[1][2], 2 * 1.25 * led[0][2])
    assert found is not None
    np.testing.assert_allclose(found.path, Frame(300, 234).motion(2 * led[1][2]).path, atol=1e-5)


def test_the_judge_leads_at_the_end(small: Shaken, network: GuidedNetwork):
    class Follows(Judge):
        """Looks where it was led."""

        def try_all(self, look: Look, paths: torch.Tensor) -> list[Trial]:
            asked.append(paths)
            return super().try_all(look, paths)

    asked: list[torch.Tensor] = []
    judge = Follows(network, Agrees())
    judged = PathSearch.load(critic=Sulks(), effort=BRIEF._replace(judged_largest=Stage(2, 3, 0.3)), judge=judge)
    found = judged(small.blurred)
    tried, led = asked
    # This judge likes long paths, so it has led both to longer ones, and one of these is told.
    frame = Frame(small.blurred.shape[1], small.blurred.shape[0])
    estimate = judge.look(small.blurred, CPU).estimate
    assert width_of(led, frame, estimate).min() > width_of(tried, frame, estimate).max()
    assert found is not None
    longest = led[width_of(led, frame, estimate).argmax()]
    np.testing.assert_allclose(found.path, frame.motion(longest).path)
    # Without another network's judge there is nothing to lead by that has not led before.
    same, without = (
        PathSearch.load(critic=Agrees(), effort=BRIEF._replace(judged_middle=stage, judged_largest=stage))(
            small.blurred
        )
        for stage in (Stage(1, 3, 0.3), None)
    )
    assert same is not None
    assert without is not None
    np.testing.assert_array_equal(same.path, without.path)


def test_the_released_critic_is_of_the_released_default_network():
    record = json.loads(RELEASED.with_suffix(".json").read_text())
    _, card = load_released("default")
    assert record["network"] == {"name": card["name"], "sha256": card["sha256"]}, "make it anew: docs/path-search.md"
    assert record["sha256"] == hashlib.sha256(RELEASED.read_bytes()).hexdigest()
    sha256 = record["sha256"]
    leads = PathSearch.load(critic=Critic.load())  # and has the last word, where there is no judge
    assert leads.describe() == {"network": card["sha256"], "critic": sha256, "judge": sha256}
    judge = json.loads(judge_file(card["name"]).with_suffix(".json").read_text())["sha256"]
    assert PathSearch.load().describe() == {"network": card["sha256"], "critic": sha256, "judge": judge}


@pytest.mark.parametrize("name", ["mstsgm-guided", "mstsgm-guided-large"])
def test_the_released_judges_are_of_the_released_networks(network: GuidedNetwork, name: str):
    record = json.loads(judge_file(name).with_suffix(".json").read_text())
    _, card = load_released(name)
    assert record["network"] == {"name": card["name"], "sha256": card["sha256"]}, "make it anew: docs/path-search.md"
    assert record["sha256"] == hashlib.sha256(judge_file(name).read_bytes()).hexdigest()
    patient = Deblurrer.load(f"{name}+search", "cpu")
    assert patient.describe()["search"]["judge"] == record["sha256"]
    # Of other weights it knows nothing, whatever their name; of these all, whatever theirs.
    assert Judge.released(network, card | {"sha256": "0" * 64}) is None
    renamed = Judge.released(network, card | {"name": "another"})
    assert renamed is not None
    assert renamed.describe() == record["sha256"]
