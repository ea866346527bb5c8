"""The parts of training, each on its own: batches made ahead, averaged weights, the guard, the log, the validation."""

from __future__ import annotations

import csv
import threading
import time
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skimage import data as photographs
from torch import nn

from deblur.blur import draw_motion, generator_for, parse_blur, synthesize
from deblur.errors import DeblurError
from deblur.exposure.paths import camera_path
from deblur.networks import Restored, named_config
from deblur.networks.cost import count_macs
from deblur.networks.variants import build_without_memory
from deblur.pictures import read_picture, scale_down, write_picture
from deblur.training.averaging import AveragedWeights
from deblur.training.batches import Batch
from deblur.training.data import fill_store
from deblur.training.guard import FiniteGuard
from deblur.training.keeper import Keeper
from deblur.training.loader import BatchLoader, pays_ahead
from deblur.training.log import TrainingLog, save_samples
from deblur.training.loop import learning_mode
from deblur.training.sources import Example, PictureStore, parse_source
from deblur.training.validation import DISTANCE, PSNR, ValidationSet, blurred_here, evaluating, sets_digest, validate

CPU = torch.device("cpu")


def numbered(step: int, crop: int) -> Batch:
    if step == 7:
        raise DeblurError("broken.png")
    pictures = torch.full((1, 3, crop, crop), float(step))
    return Batch(pictures, pictures, (None,), (None,), ())


@pytest.mark.parametrize("ahead", [True, False])
def test_the_batch_taken_is_the_one_asked_for_whatever_was_prepared(ahead):
    loader = BatchLoader(numbered, CPU, ahead=ahead)
    for prepared, taken in (((1, 8), (1, 8)), ((2, 8), (2, 16)), ((3, 8), (5, 8))):
        loader.prepare(*prepared)
        batch = loader.take(*taken)
        assert (batch.sharp[0, 0, 0, 0].item(), batch.sharp.shape[-1]) == taken
    with pytest.raises(DeblurError, match=r"broken\.png"):
        loader.take(7, 8)
    loader.prepare(8, 8)
    loader.close()


def test_batches_are_made_while_the_network_learns():
    begun, learnt = threading.Event(), threading.Event()

    def make(step: int, crop: int) -> Batch:
        begun.set()
        assert learnt.wait(20)
        return numbered(step, crop)

    loader = BatchLoader(make, CPU, ahead=True)
    loader.prepare(1, 8)
    assert begun.wait(20)
    learnt.set()
    assert loader.take(1, 8).sharp.shape == (1, 3, 8, 8)
    loader.close()


def test_ahead_pays_beside_a_gpu_and_where_cores_are_left(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert pays_ahead(CPU)
        torch.set_num_threads(3)
        assert not pays_ahead(CPU)
        assert pays_ahead(torch.device("cuda"))
    finally:
        torch.set_num_threads(threads)


def test_averaged_weights_are_those_of_torch():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))

    def keep(averages, values, count):
        share = min(0.9, (1 + float(count)) / (10 + float(count)))
        for average, value in zip(averages, values, strict=True):
            average.lerp_(value, 1 - share) if average.is_floating_point() else average.copy_(value)

    theirs = torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=torch.no_grad()(keep), use_buffers=True)
    ours = AveragedWeights(network, 0.9)
    for _ in range(12):
        with torch.no_grad():
            for parameter in network.parameters():
                parameter += torch.randn_like(parameter)
        network(torch.randn(4, 1, 2, 2))
        ours.update(network)
        theirs.update_parameters(network)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name


def test_the_guard_names_the_first_bad_step_of_those_not_yet_looked_at(tmp_path):
    guard = FiniteGuard(tmp_path)
    for step in range(1, 4):
        guard.add(step, {"content": torch.tensor(0.1), "frequency": torch.tensor(0.2)}, [tmp_path / f"{step}.png"])
    guard.check()
    for step, loss in ((4, 0.1), (5, float("inf")), (6, float("nan"))):
        guard.add(step, {"content": torch.tensor(0.1), "frequency": torch.tensor(loss)}, [tmp_path / f"{step}.png"])
    with pytest.raises(DeblurError, match=r"the frequency loss is no longer finite at step 5, batch .*5\.png;"):
        guard.check()
    network = nn.BatchNorm2d(2)
    guard.check_weights(network, 7)
    network.running_mean[1] = float("nan")
    with pytest.raises(DeblurError, match=r"weights are no longer finite at step 7; nothing was saved .* begin again"):
        guard.check_weights(network, 7)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "state.pt").touch()
    with pytest.raises(DeblurError, match=r"the last checkpoint in .* is good: resume it"):
        guard.check_weights(network, 7)


def rows_of(log: TrainingLog) -> list[tuple[str, str, str]]:
    with log.file.open(newline="") as stream:
        return [(row["step"], row["kind"], row["name"]) for row in csv.DictReader(stream)]


def test_the_log_drops_later_rows_and_one_that_was_cut_off(tmp_path):
    log = TrainingLog(tmp_path, 0, tensorboard=False, enabled=True)
    for step in (10, 20):
        log.validated(step, 1.0, {"a, b": {"input": 20.0, "gain": None}})
    with log.file.open("ab") as stream:
        stream.write("20,1.00,validation,caf\u00e9"[:-1].encode() + b"\xc3")
    again = TrainingLog(tmp_path, 10, tensorboard=False, enabled=True)
    assert rows_of(again) == [("10", "validation", "a, b input")]
    again.validated(10, 1.0, {"a, b": {"input": 20.0}})
    again.validated(30, 3.0, {"a, b": {"input": 21.0}})
    assert rows_of(again) == [("10", "validation", "a, b input"), ("30", "validation", "a, b input")]


def test_pictures_a_second_and_flops_follow_the_crops_that_were_made(tmp_path):
    network = nn.Conv2d(3, 4, 1, bias=False)
    log = TrainingLog(tmp_path, 0, tensorboard=False, enabled=True)
    log.count({"content": torch.tensor(1.0)}, seconds=1.0, waited=0.5, pictures=2, crop=8)
    log.count({"content": torch.tensor(2.0)}, seconds=1.0, waited=0.0, pictures=2, crop=16)
    log.write(2, 0.1, 1e-3, network)
    with log.file.open(newline="") as stream:
        values = {row["name"]: float(row["value"]) for row in csv.DictReader(stream)}
    assert values["content"] == values["loss"] == 1.5
    assert values["pictures_per_second"] == 2.0
    assert values["data_share"] == 0.25
    # Two operations a multiplication, 3 x 4 of them a pixel, three times for forward and backward.
    assert values["flop_per_second"] == 3 * 2 * 12 * (2 * 8**2 + 2 * 16**2) / 2.0


def test_a_guide_which_is_frozen_counts_forward_alone(tmp_path):
    network = build_without_memory(named_config("mstsgm-guided")).eval()
    log = TrainingLog(tmp_path, 0, tensorboard=False, enabled=True)
    log.count({"content": torch.tensor(1.0)}, seconds=1.0, waited=0.0, pictures=1, crop=448)
    log.write(1, 0.1, 1e-3, network)
    picture = torch.zeros(1, 3, 448, 448, device="meta")
    seen = network.guide(picture)
    of_guide, of_network = (count_macs(run) for run in (lambda: network.guide(picture), lambda: network(picture, seen)))
    assert 0 < of_guide < of_network
    with log.file.open(newline="") as stream:
        values = {row["name"]: float(row["value"]) for row in csv.DictReader(stream)}
    assert values["flop_per_second"] == pytest.approx(
        2 * (of_guide + 3 * of_network), rel=1e-5
    )  # six digits are written


def test_validation_blurs_what_training_would_see(tmp_path):
    photograph = photographs.astronaut()[:300, :400]
    write_picture(tmp_path / "a.png", photograph)
    spec = parse_blur("shake:20,shot=0,read=0,jpeg=0")
    examples = [Example("sharp", (tmp_path / "a.png",), "a")]
    (blurred, sharp), *rest = blurred_here(examples, spec, 64, 200).pairs
    assert not rest
    small = scale_down(photograph, 200)
    assert small.shape == (150, 200, 3)
    assert np.array_equal(sharp, small[43:107, 68:132])
    whole = synthesize(small, spec, 0, "a")
    assert np.abs(blurred.astype(int) - whole[43:107, 68:132]).max() <= 1


def test_pictures_of_one_name_in_several_folders_are_blurred_along_paths_of_their_own(tmp_path):
    for folder in ("", "a", "b"):
        write_picture(tmp_path / folder / "1.png", photographs.astronaut()[:90, :120])
    examples = parse_source("sharp", str(tmp_path)).examples
    assert [example.key for example in examples] == ["1", "a/1", "b/1"]
    spec = parse_blur("shake:20")
    one = blurred_here(examples, spec, 64, None)
    assert len({path.path.tobytes() for path in one.paths}) == 3
    whole = camera_path(draw_motion(spec, generator_for(spec, 0, "a/1"), 120, 90))
    assert np.array_equal(one.paths[1].path, whole.path)
    moved = replace(one, keys=("1", "c/1", "b/1"))
    assert sets_digest([moved]) != sets_digest([one])
    assert sets_digest([replace(one, keys=("2", "a/1", "b/1"))]) == sets_digest([one])
    assert sets_digest([replace(one, name="shake:8")]) != sets_digest([one])


def test_data_that_fits_is_read_before_training_and_a_cut_off_file_is_named(tmp_path):
    for name in ("good", "cut"):
        write_picture(tmp_path / f"{name}.png", photographs.astronaut()[:64, :64])
    sources = [parse_source("sharp", str(tmp_path))]
    store = PictureStore(CPU, 10**8)
    fill_store(store, sources, None)
    kept = store.get(tmp_path / "good.png")
    (tmp_path / "good.png").unlink()
    assert store.get(tmp_path / "good.png") is kept
    store.close()
    write_picture(tmp_path / "good.png", photographs.astronaut()[:64, :64])
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:-3000])
    store = PictureStore(CPU, 10**8)
    with pytest.raises(DeblurError, match=r"1 pictures cannot be used: .*cut\.png"):
        fill_store(store, sources, None)
    store.close()
    # Data that does not fit is read when it is needed; then the file is named there.
    store = PictureStore(CPU, 1)
    fill_store(store, sources, None)
    with pytest.raises(DeblurError, match=r"cut\.png"):
        store.get(tmp_path / "cut.png")
    store.close()


def test_readers_share_one_reading_of_a_file(tmp_path, monkeypatch):
    write_picture(tmp_path / "a.png", photographs.astronaut()[:64, :64])
    reads, go = [], threading.Event()

    def slow(file):
        reads.append(file)
        assert go.wait(20)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr("deblur.training.sources.read_picture", slow)
    store = PictureStore(CPU, 10**6)
    store.prefetch([tmp_path / "a.png"])
    store.prefetch([tmp_path / "a.png"])
    threading.Timer(0.2, go.set).start()
    assert store.get(tmp_path / "a.png").shape == (3, 4, 4)
    assert reads == [tmp_path / "a.png"]
    store.close()


def test_an_interrupt_while_files_are_queued_leaves_none_of_them_to_be_read(tmp_path, monkeypatch):
    go, queued = threading.Event(), []
    submit = ThreadPoolExecutor.submit

    def interrupted(*args):
        if len(queued) == 30:
            threading.Timer(0.2, go.set).start()
            raise KeyboardInterrupt
        queued.append(submit(*args))
        return queued[-1]

    monkeypatch.setattr("deblur.training.sources.read_picture", lambda _: go.wait(20) and np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    store = PictureStore(CPU, 10**6)
    with pytest.raises(KeyboardInterrupt):
        store.load([tmp_path / f"{number}.png" for number in range(40)])
    assert sum(reading.cancelled() for reading in queued) > 20
    store.close()


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), ZeroDivisionError()])
def test_memory_that_does_not_suffice_for_the_store_ends_reading_and_names_what_helps(tmp_path, monkeypatch, error):
    files = [tmp_path / f"{number}.png" for number in range(40)]
    read, failed = [], threading.Event()

    def fail_at_third(file):
        read.append(file)
        if file == files[2]:
            failed.set()
            raise error
        assert file in files[:2] or failed.wait(20)
        time.sleep(0.02)
        return np.zeros((100, 100, 3), np.uint8)

    monkeypatch.setattr("deblur.training.sources.read_picture", fail_at_third)
    store = PictureStore(CPU, 10**6)
    expected = type(error) if isinstance(error, ZeroDivisionError) else DeblurError
    with pytest.raises(expected) as raised:
        store.load(files)
    store._readers.shutdown()  # as Python does before it ends
    assert len(read) < 30
    if expected is DeblurError:
        words = "not enough memory beside the 0.0 GB of training pictures that are kept on cpu: "
        assert str(raised.value) == f"{words}give a smaller --memory-gb"


@pytest.mark.parametrize("freeze_norm", [False, True])
def test_frozen_norm_keeps_its_statistics_and_uses_them(freeze_norm):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
    learning_mode(network, freeze_norm=freeze_norm)
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    assert [module.training for module in network] == [True, not freeze_norm, True]
    norm = network[1]
    x = 3 + torch.randn(4, 2, 5, 5)
    given = norm(x)
    assert torch.equal(norm.running_mean, torch.zeros(2)) == freeze_norm
    torch.testing.assert_close(given.mean((0, 2, 3)), x.mean((0, 2, 3)) * freeze_norm, rtol=1e-4, atol=1e-4)
    given.sum().backward()
    assert norm.weight.grad is not None  # what it learns, it goes on learning


class Brighter(nn.Module):
    """Adds so much to a picture."""

    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: torch.Tensor, *, finest_only: bool) -> Restored:
        return Restored((x + self.by,), None)


def test_means_and_gain_are_of_the_same_pictures():
    grey = np.full((8, 8, 3), 51, np.uint8)
    pairs = ((grey, grey + 51), (grey, grey + 102))  # the first is restored exactly
    score = validate(Brighter(0.2), [ValidationSet("a", pairs)], CPU)["a"]
    assert (score["input"], score["restored"]) == pytest.approx((-20 * np.log10(0.4), -20 * np.log10(0.2)), abs=1e-3)
    assert score["gain"] == pytest.approx(20 * np.log10(2), abs=1e-3)
    exact = validate(Brighter(0.2), [ValidationSet("a", pairs[:1])], CPU)["a"]
    assert exact == {"input": None, "restored": None, "gain": None}


def test_scores_are_means_over_the_pictures():
    grey = np.full((8, 8, 3), 51, np.uint8)
    pairs = tuple((grey, grey + by) for by in (51, 102, 153))
    score = validate(Brighter(-0.1), [ValidationSet("a", pairs)], CPU)["a"]
    before, after = (-20 * np.log10(errors).mean() for errors in ([0.2, 0.4, 0.6], [0.3, 0.5, 0.7]))
    assert score == pytest.approx({"input": before, "restored": after, "gain": after - before}, abs=0.1)


def test_a_detector_that_measures_sees_no_light_beyond_white():
    bright = np.full((8, 8, 3), 230, np.uint8)
    seen = []

    def distance(restored, sharp):
        seen.append(restored.max().item())
        return (restored - sharp).abs().mean()

    validate(Brighter(0.2), [ValidationSet("a", ((bright, bright - 51),))], CPU, distance)
    assert seen == pytest.approx([230 / 255, 1])


def test_samples_of_sets_with_long_or_like_names_are_files_of_their_own(tmp_path):
    grey = np.full((8, 8, 3), 51, np.uint8)
    deep = "/".join(["déjà-vu"] * 60)
    names = ("shake:8", f"one/{deep}", f"two/{deep}", "real/val", "real-val")
    sets = [ValidationSet(name, ((grey, grey + 51),)) for name in names]
    save_samples(tmp_path, 3, Brighter(0.2), sets, CPU, 1)
    files = {file.name for file in (tmp_path / "samples").iterdir()}
    assert len(files) == len(names)
    assert "shake-8-0-step0000003.jpg" in files
    assert sum("vu-déjà-vu" in name for name in files) == 2
    assert all(len(name.encode()) <= 255 for name in files)


def test_a_sample_shows_blurred_restored_and_sharp_side_by_side(tmp_path):
    blurred, sharp = (np.full((16, 16, 3), level, np.uint8) for level in (51, 204))
    save_samples(tmp_path, 1, Brighter(0.2), [ValidationSet("a", ((blurred, sharp),) * 3)], CPU, 1)
    (file,) = (tmp_path / "samples").iterdir()
    assert file.name == "a-0-step0000001.jpg"
    shown = read_picture(file)
    assert shown[8, [8, 24, 40], 0].tolist() == pytest.approx([51, 102, 204], abs=2)


def test_a_restoration_that_is_no_number_ends_validation():
    grey = np.full((8, 8, 3), 51, np.uint8)
    with pytest.raises(DeblurError, match=r"shake:8.*picture 1.*no number"):
        validate(Brighter(float("nan")), [ValidationSet("shake:8", ((grey, grey + 51),))], CPU)


def test_paths_of_validation_are_the_cameras_in_the_middle_that_is_shown(tmp_path):
    write_picture(tmp_path / "a.png", photographs.astronaut()[:300, :400])
    spec = parse_blur("background:20")
    (path,) = blurred_here([Example("sharp", (tmp_path / "a.png",), "a")], spec, 64, 200).paths
    whole = camera_path(draw_motion(spec, generator_for(spec, 0, "a"), 200, 150))
    assert path.center == (whole.center[0] - 68, whole.center[1] - 43)
    assert path.region is None


def test_means_of_the_log_begin_anew_with_every_row(tmp_path):
    log = TrainingLog(tmp_path, 0, tensorboard=False, enabled=True)
    for step, loss in ((1, 1.0), (2, 5.0)):
        log.count({"content": torch.tensor(loss)}, seconds=float(step), waited=0.5, pictures=2, crop=8)
        log.write(step, 0.1, 1e-3, nn.Conv2d(3, 4, 1, bias=False))
    means = {"content", "pictures_per_second", "data_share"}
    with log.file.open(newline="") as stream:
        rows = [(row["step"], float(row["value"])) for row in csv.DictReader(stream) if row["name"] in means]
    assert rows == [("1", 1.0), ("1", 2.0), ("1", 0.5), ("2", 5.0), ("2", 1.0), ("2", 0.25)]


@pytest.mark.parametrize("writes", [True, False])
def test_means_of_the_log_are_those_of_all_processes(tmp_path, monkeypatch, writes):
    words, other = object(), [9.0, 4.0]

    def add_the_other(means, group):
        assert group is words
        means += torch.tensor(other, dtype=means.dtype)

    monkeypatch.setattr(torch.distributed, "all_reduce", add_the_other)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda _: 2)
    log = TrainingLog(tmp_path, 0, tensorboard=False, enabled=writes, words=words)
    for content in (1.0, 5.0):
        terms = {"content": torch.tensor(content), "frequency": torch.tensor(2.0)}
        log.count(terms, seconds=1.0, waited=0.5, pictures=2, crop=8)
    log.write(2, 0.1, 1e-3, nn.Conv2d(3, 4, 1, bias=False))
    assert log.file.exists() is writes
    if writes:
        with log.file.open(newline="") as stream:
            values = {row["name"]: float(row["value"]) for row in csv.DictReader(stream)}
        assert (values["content"], values["frequency"], values["loss"]) == (6.0, 3.0, 9.0)


@pytest.mark.parametrize(("key", "sign"), [(PSNR, 1), (DISTANCE, -1)])
def test_the_best_weights_have_the_best_mean_and_are_the_first_of_equals(tmp_path, monkeypatch, key, sign):
    released = []
    monkeypatch.setattr(Keeper, "_release", lambda self, name, scores: released.append(name))
    teacher = SimpleNamespace(weight=1.0) if key == DISTANCE else None
    keeper = Keeper(tmp_path, Namespace(), None, None, None, None, teacher, "", print)
    assert keeper.chosen_by == key
    bests = []
    for scores in ((20, 30), (21, 28), (18, 31), (25, 25), (20, 31), (24, None), (27, None)):
        keeper.keep({str(place): {key: score and sign * score} for place, score in enumerate(scores)})
        assert released.pop() == "last"
        bests.append(bool(released))
        released.clear()
    # Means of 25, 24.5, 24.5, 25, 25.5, and of one picture alone where the others have no score.
    assert bests == [True, False, False, False, True, False, True]
    assert keeper.progress.best == sign * 27
    keeper.keep({"0": {key: None}})
    assert released == ["best", "last"]
