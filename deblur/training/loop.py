"""The training loop behind ``python -m deblur.train``.

A step is: draw the batch (a pure function of seed and step), cut and blur it on the device, one forward and backward
pass, clip, step, average. Everything that a later step depends on is in the checkpoint, so a run by ``--steps`` that
was killed ends with the same weights as one that was not. By ``--max-minutes`` the learning rate, the size of crops and
the end follow the clock, and no two runs are the same.
"""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from contextlib import ExitStack, closing, contextmanager, nullcontext
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from tqdm import tqdm

from deblur.cli import hangup
from deblur.devices import numbered, resolve_device, synchronize
from deblur.errors import DeblurError
from deblur.exposure.kernels import together
from deblur.losses import LossWeights, estimator_loss, restoration_loss
from deblur.networks import build
from deblur.networks.guided import GuidedNetwork, InverseFilter
from deblur.networks.kernel_estimator import KernelEstimator
from deblur.processes import PATIENCE
from deblur.run_lock import alone_in
from deblur.runs import OTHER_OUTPUT, refuse_unwritable, write_json
from deblur.training.averaging import AveragedWeights
from deblur.training.batches import Batch, make_batch
from deblur.training.checks import check_fit, check_statistics, check_training
from deblur.training.data import fill_store, read_sources
from deblur.training.guard import FiniteGuard
from deblur.training.initial import load_initial
from deblur.training.keeper import Keeper
from deblur.training.loader import BatchLoader, pays_ahead, workers_beside
from deblur.training.log import TrainingLog, save_samples
from deblur.training.mix import BlurMix, parse_blur_range
from deblur.training.network_choice import network_config, network_name, released_estimator
from deblur.training.planning import Planner, Recipe, draw_examples
from deblur.training.run_folder import find_resumable, open_run, record_sitting, refuse_useless
from deblur.training.schedule import Progress, Schedule, crop_at, parse_crops
from deblur.training.sources import PictureStore
from deblur.training.validation import sets_digest, validate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from torch import Tensor, nn

    from deblur.networks import NetworkConfig
    from deblur.networks.guided import ExposureGuide
    from deblur.training.options import TrainingOptions
    from deblur.training.planning import Draw
    from deblur.training.teacher import Teacher


def train(options: TrainingOptions, teacher: Teacher | None = None) -> dict[str, Any]:
    """Train a network and write its run folder.

    Args:
        options: of ``deblur.train.parse_training_args``; what another command has beside that is recorded with it.
        teacher: a detector's distance to be made small as well, if one teaches.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        DeblurError: options, data or saved state are wrong, another process trains the run that is to go on, or the
            loss is no longer finite.
        KeyboardInterrupt: somebody asked to stop, which only the main thread hears. The state is saved, and its
            argument says how to go on.
    """
    with ExitStack() as held:
        held.callback(torch.set_rng_state, torch.get_rng_state())
        if options.threads:
            held.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(options.threads)
        return Trainer(options, teacher, held).run()


class Trainer:
    """One run: the state that a step changes, and the steps."""

    def __init__(self, options: TrainingOptions, teacher: Teacher | None = None, held: ExitStack | None = None) -> None:
        """Open a run, new or to go on with, up to its first step.

        Args:
            options: of training.
            teacher: a detector's distance to be made small as well, if one teaches.
            held: keeps other processes out of the run's folder until it is closed; without it nothing does.
        """
        self.teacher = teacher
        check_training(options)
        resumable = find_resumable(options)  # or a mistyped folder would be refused after all pictures have been read
        self.accelerator = _accelerator(options)
        if resumable is not None:
            self._keep_others_out(resumable, held)
        else:
            refuse_unwritable(options.output, f"--output {options.output}", OTHER_OUTPUT)  # before all is read
        self.note = partial(self.accelerator.print, file=sys.stderr)
        # Pictures are read and batches made in other threads.
        self.device = numbered(self.accelerator.device)
        processes = self.accelerator.num_processes
        if options.batch % (processes * options.accumulate):
            raise DeblurError(
                f"--batch {options.batch} does not fit {processes} processes x --accumulate {options.accumulate}"
            )
        self.places = range(self.accelerator.process_index, options.batch, processes)
        # Words that the processes pass to each other on the CPU: over the GPUs they would wait for the step at work.
        self.words: torch.distributed.ProcessGroup | None = None
        if processes > 1:
            group = torch.distributed.new_group(backend="gloo", timeout=PATIENCE)
            self.words = group  # type: ignore[assignment]
        self.crops = parse_crops(options.crop)
        self.schedule = Schedule(options.schedule, options.learning_rate, options.warmup)
        self.weights = LossWeights(options.content, options.frequency, options.smoothness)
        config, self.bare = _new_network(options)
        # For the records and messages of a run that was told --init alone.
        self.options = options = copy(options)
        options.network = network_name(options)
        if teacher is not None and isinstance(self.bare, KernelEstimator):
            raise DeblurError("a detector teaches what restores pictures: an estimator is trained without one")
        check_statistics(options, self.bare, self.crops, len(self.places))
        self.sources, self.sets = read_sources(options, self.note)
        if not self.sets:
            self.note(
                "nothing is validated on: no score chooses, and weights/best is the same as weights/last; give "
                "--val-pairs, --val-sharp, or --sharp with --hold-out"
            )
        self.store = PictureStore(self.device, options.memory_gb * 1e9, options.max_side)
        workers = workers_beside(self.device, processes) if options.workers is None else options.workers
        recipe = Recipe(_mix(options), options.quarter_turns, options.path_share)
        self.planner = Planner(self._draw, self.store.size_of, recipe, workers)
        self.loader = BatchLoader(self._make_batch, self.device, ahead=pays_ahead(self.device))

        self.bare = self.bare.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimizer = _optimizer(options, self.bare)
        self.ema = AveragedWeights(self.bare, options.ema)
        if options.compile:
            learning: nn.Module = self.bare.network if isinstance(self.bare, GuidedNetwork) else self.bare
            learning.compile()
        if resumable is None:  # what cannot be read leaves no folder behind
            fill_store(self.store, self.sources, options.max_side)
        self.folder, state = open_run(options, resumable, self.accelerator)
        if resumable is None:
            self._keep_others_out(self.folder, held)
        self.keeper = Keeper(
            self.folder,
            options,
            config,
            network=self.bare,
            average=self.ema,
            optimizer=optimizer,
            teacher=teacher,
            validated_on=sets_digest(self.sets),
            note=self.note,
        )
        counts = state is None or self.keeper.restore(state)
        self.progress = self.keeper.progress
        over = self._share() >= 1
        if state is not None:
            refuse_useless(self.folder, options, state, over=over)
            if not over:
                fill_store(self.store, self.sources, options.max_side)
        writes = self.accelerator.is_main_process
        self.log = TrainingLog(self.folder, self.progress.step, options.tensorboard, writes, self.words)
        self.keeper.sittings = record_sitting(self.folder, options, self.accelerator, state, over=over)
        if writes and not counts:
            self.keeper.keep_former_best()
        self.network: nn.Module
        self.network, self.optimizer = self.accelerator.prepare(self.bare, optimizer)
        self.guard = FiniteGuard(self.folder)
        self.stop_requested = False

    def run(self) -> dict[str, Any]:
        """Train until the steps or the minutes are over, or until someone asks to stop."""
        options, progress = self.options, self.progress
        learning_mode(self.network, freeze_norm=options.freeze_norm)
        bar = tqdm(
            total=options.steps,
            initial=progress.step,
            unit="step",
            disable=not self.accelerator.is_main_process,
            file=sys.stderr,
            mininterval=5,
        )
        began = progress.step
        self._note_what_is_over()
        with self._stopped_by_signals(), bar, closing(self):
            scores = self._train(bar)
            if self.stop_requested:
                self._stop(began, scores)
            if scores is None:
                scores = self._validate()
        metrics = self._metrics(scores)
        if self.accelerator.is_main_process:
            write_json(self.folder / "metrics.json", metrics)
        self.accelerator.end_training()
        return metrics

    def _metrics(self, scores: dict[str, dict[str, float | None]]) -> dict[str, Any]:
        """The content of ``metrics.json``."""
        return {
            "run": str(self.folder),
            "step": self.progress.step,
            "minutes": round(self.progress.seconds / 60, 2),
            "parameters": sum(parameter.numel() for parameter in self.ema.module.parameters()),
            "best": self.progress.best,
            "best_by": self.keeper.chosen_by,
            "validation": scores,
        }

    def close(self) -> None:
        """Let go of what works beside the steps."""
        for helper in (self.log, self.loader, self.planner, self.store):
            helper.close()

    def _keep_others_out(self, folder: Path, held: ExitStack | None) -> None:
        if held is not None and self.accelerator.is_main_process:
            held.enter_context(alone_in(folder))

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and a terminal that is closed ask to stop after the step at work.

        Signals are the main thread's: what another one trains goes on to its end.
        """
        is_main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM, *hangup()) if is_main else ()
        handlers = {number: signal.signal(number, self._ask_to_stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _train(self, bar: tqdm[NoReturn]) -> dict[str, dict[str, float | None]] | None:
        """Make all steps that are left; returns the scores of the last one, None where it was not validated."""
        options, progress = self.options, self.progress
        scores = None
        clock = time.perf_counter()
        while self._goes_on():
            crop = crop_at(self.crops, self._share())
            terms, waited, files = self._step()
            progress.step += 1
            scores = None
            self.guard.add(progress.step, terms, files)
            logs, validates, saves = (
                progress.step % every == 0
                for every in (options.log_every, options.validate_every, options.checkpoint_every)
            )
            # Waiting for a GPU at every step would leave it idle while the next one is prepared.
            if self.device.type == "cpu" or logs or validates or saves:
                synchronize(self.device)
                self.guard.check()
            elapsed = time.perf_counter() - clock
            clock += elapsed
            progress.seconds += elapsed
            bar.update()
            self.log.count(terms, elapsed, waited, options.batch, crop)
            if logs:
                rate = self.optimizer.param_groups[0]["lr"]  # of the step that was made, not of the next
                self.log.write(progress.step, progress.seconds / 60, rate, _restorer(self.ema.module))
            if validates:
                scores = self._validate()
            elif saves:
                self._save()
            if logs or validates or saves:
                clock = time.perf_counter()
        return scores

    def _stop(self, began: int, scores: dict[str, dict[str, float | None]] | None) -> NoReturn:
        """Save what somebody asked to stop, and say how to go on.

        Args:
            began: the step that this sitting began with.
            scores: of the last step; None where it was not validated.
        """
        self._save()
        if self.accelerator.is_main_process:
            if scores is None:
                self.keeper.keep_unscored(began, best=not self.sets)
            if self.progress.step > began and (self.folder / "metrics.json").is_file():  # of weights before these
                write_json(self.folder / "metrics.json", self._metrics(scores or {}))
        self.accelerator.wait_for_everyone()
        again = shlex.join(["--resume", str(self.folder)])
        says = [f"saved at step {self.progress.step}; go on with {again}"] * self.accelerator.is_main_process
        raise KeyboardInterrupt(*says)

    def _note_what_is_over(self) -> None:
        """Say which limit leaves nothing to train."""
        options, progress = self.options, self.progress
        reached = {}
        if options.steps is not None and progress.step >= options.steps:
            reached["--steps"] = f"step {progress.step} of --steps {options.steps}"
        if options.max_minutes is not None and progress.seconds >= 60 * options.max_minutes:
            reached["--max-minutes"] = f"minute {progress.seconds / 60:.2f} of --max-minutes {options.max_minutes:g}"
        if reached:
            self.note(
                f"{self.folder} is over, nothing is left to train: {' and '.join(reached.values())} reached; to go on "
                f"give a larger {' and '.join(reached)}"
            )

    def _goes_on(self) -> bool:
        """Whether to make another step.

        All processes take the slowest clock and stop together: a step that one of them leaves out would never end in
        the others, and learning rates that differ would pull their weights apart.
        """
        if self.words is not None:
            said = torch.tensor([self.progress.seconds, float(self.stop_requested)], dtype=torch.float64)
            torch.distributed.all_reduce(said, torch.distributed.ReduceOp.MAX, group=self.words)
            self.progress.seconds, self.stop_requested = float(said[0]), bool(said[1])
        return self._share() < 1 and not self.stop_requested

    def _share(self) -> float:
        return self.progress.share(self.options.steps, self.options.max_minutes)

    def _draw(self, step: int) -> list[Draw]:
        return draw_examples(self.sources, self.options.seed, step, self.places)

    def _make_batch(self, step: int, crop: int) -> Batch:
        side = crop + 2 * self.options.context
        batch = make_batch(self.planner.plans(step, side), self.store, side)
        if isinstance(self.bare, GuidedNetwork):
            # It is frozen, so that it can be asked before the network has learnt from the batch before.
            batch = batch._replace(guide=guide_channels(self.bare.guide, batch))
        return batch

    def _step(self) -> tuple[dict[str, Tensor], float, list[Path]]:
        """One optimiser step; returns the loss terms, the seconds spent waiting for the batch, and its files."""
        options, progress = self.options, self.progress
        began = time.perf_counter()
        batch = self.loader.take(progress.step, crop_at(self.crops, self._share()))
        waited = time.perf_counter() - began
        following = Progress(progress.step + 1, progress.seconds)
        if following.share(options.steps, options.max_minutes) < 1:
            crop = crop_at(self.crops, following.share(options.steps, options.max_minutes))
            self.loader.prepare(following.step, crop)
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self._share())
        totals: dict[str, Tensor] = {}
        parts = options.accumulate
        for index, portion in enumerate(batch.portions(parts)):
            # Gradients are exchanged between processes once a step, with the last part.
            with nullcontext() if index == parts - 1 else self.accelerator.no_sync(self.network):
                terms = self._terms(portion)
                self.accelerator.backward(torch.stack(list(terms.values())).sum() / parts)
            for name, term in terms.items():
                totals[name] = totals.get(name, torch.zeros((), device=self.device)) + term.detach() / parts
        if options.clip:
            self.accelerator.clip_grad_norm_(self.network.parameters(), options.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update(self.bare)
        return totals, waited, list(batch.files)

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of the loss on one batch, each with its weight."""
        options = self.options
        if isinstance(self.bare, KernelEstimator):
            return estimator_loss(self.network(batch.blurred), batch.motions)
        guided = {} if batch.guide is None else {"guide": batch.guide, "context": options.context}
        inner = slice(options.context, batch.sharp.shape[-1] - options.context)
        sharp = batch.sharp[..., inner, inner]
        with self.accelerator.autocast():
            restored = self.network(batch.blurred.contiguous(memory_format=torch.channels_last), **guided)
        terms = restoration_loss(restored, sharp, self.weights)
        teacher = self.teacher
        if teacher is not None and teacher.teaches_at(self.progress.step):
            terms["detector"] = teacher.weight * teacher.distance(restored.picture.float(), sharp)
        return terms

    def _validate(self) -> dict[str, dict[str, float | None]]:
        """Score the averaged weights, keep them where they are the best so far, write samples, and save."""
        scores: dict[str, dict[str, float | None]] = {}
        self._check_health()
        if self.accelerator.is_main_process:
            restorer = _restorer(self.ema.module)
            distance = None if self.teacher is None else self.teacher.distance
            scores = validate(restorer, self.sets, self.device, distance)
            self.log.validated(self.progress.step, self.progress.seconds / 60, scores)
            self.keeper.keep(scores)
            save_samples(self.folder, self.progress.step, restorer, self.sets, self.device, self.options.samples)
        self._save()
        self.accelerator.wait_for_everyone()
        return scores

    def _save(self) -> None:
        self._check_health()
        if self.accelerator.is_main_process:
            self.keeper.save()

    def _check_health(self) -> None:
        """See that nothing bad is saved or released."""
        self.guard.check()
        self.guard.check_weights(self.bare, self.progress.step)

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True


def _mix(options: TrainingOptions) -> BlurMix:
    return BlurMix(
        tuple(parse_blur_range(text) for text in options.blur),
        options.srgb_share,
        options.noise,
        options.jpeg_share,
        options.highlight_share,
        options.rolling_share,
    )


def _optimizer(options: TrainingOptions, network: nn.Module) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    decay = options.weight_decay if options.optimizer == "adamw" else 0.0
    return kind(network.parameters(), lr=options.learning_rate, betas=(0.9, 0.999), weight_decay=decay)


def _new_network(options: TrainingOptions) -> tuple[NetworkConfig, nn.Module]:
    """The network to train, as it begins, and its config."""
    torch.manual_seed(options.seed)
    config = network_config(options)
    network = build(config).float()  # whatever the program's default is
    if options.init:
        load_initial(network, options.init)
    check_fit(options, network)
    if isinstance(network, GuidedNetwork) and options.estimator:
        network.guide.estimator.load_state_dict(released_estimator(options.estimator).state_dict())
    return config, network


def learning_mode(network: nn.Module, *, freeze_norm: bool) -> None:
    """Put a network into training mode, batch norm too unless its statistics are to stay what they are."""
    network.train()
    if freeze_norm:
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()


def guide_channels(guide: ExposureGuide, batch: Batch) -> Tensor:
    """The guide's channels of pictures of which some come with their kernels."""
    # Those that are estimated go together, and so do those whose kernels are of one size and for the same places.
    groups: dict[tuple[object, ...] | None, list[int]] = {}
    for place, exposure in enumerate(batch.exposures):
        alike = exposure and (exposure.kernels.mean.shape[-1], exposure.rows, exposure.columns)
        groups.setdefault(alike, []).append(place)
    channels: dict[int, Tensor] = {}
    for places in groups.values():
        told = [exposure for place in places if (exposure := batch.exposures[place]) is not None]
        made = guide(batch.blurred[places], together(told) if told else None)
        channels.update(zip(places, made, strict=True))
    return torch.stack([channels[place] for place in range(len(channels))])


def _restorer(network: nn.Module) -> nn.Module:
    """What makes pictures of pictures: the network, or the inverse filters of a kernel estimator."""
    return InverseFilter(network) if isinstance(network, KernelEstimator) else network


def _accelerator(options: TrainingOptions) -> Accelerator:
    device = resolve_device(options.device)
    if device.type == "cuda" and device.index is not None:
        # Accelerate takes the current GPU, or with several processes each its own.
        torch.cuda.set_device(device)
    able = device.type == "cuda" and torch.cuda.is_bf16_supported()
    bf16 = options.precision == "bf16" or (options.precision == "auto" and able)
    try:
        return Accelerator(
            cpu=device.type == "cpu",
            mixed_precision="bf16" if bf16 else "no",
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],  # the main process validates while others wait
        )
    except ValueError:  # the first one of a process says for all of them
        raise DeblurError(
            "this process has an Accelerator of another precision or device already: train in a process of its own"
        ) from None
