"""The training loop behind ``python -m deblur.train``.

A step is: draw the batch (a pure function of seed and step), cut and blur it on the device, one forward and backward
pass, clip, step, average. Everything that a later step depends on is in the checkpoint, so a run that was killed ends
with the same weights as one that was not.
"""

from __future__ import annotations

import signal
import sys
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from deblur.devices import resolve_device, synchronize
from deblur.errors import DeblurError
from deblur.losses import LossWeights, restoration_loss
from deblur.networks import build, config_from_dict, config_to_dict
from deblur.released import load_released
from deblur.runs import write_json
from deblur.training.batches import BlurMix, draw_examples, make_batch, parse_blur_range
from deblur.training.checkpoint import save_checkpoint
from deblur.training.log import TrainingLog, release, save_samples
from deblur.training.schedule import Progress, Schedule, crop_at, parse_crops
from deblur.training.setup import network_config, open_run, read_sources
from deblur.training.sources import PictureStore
from deblur.training.validation import validate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import FrameType

    from torch import Tensor, nn

    from deblur.training.validation import FeatureDistance


def train(options: argparse.Namespace, feature_distance: FeatureDistance | None = None) -> dict[str, Any]:
    """Train a network and write its run folder.

    Args:
        options: what ``deblur.train.build_parser`` parses.
        feature_distance: how far a detector's features on restored pictures lie from those on sharp ones, (B, 3, H, W)
            in [0, 1] both, differentiable in the first. With ``options.detector_weight`` it is a loss from step
            ``options.detector_from`` on; at every validation it is measured.

    Returns:
        What ``metrics.json`` holds.

    Raises:
        DeblurError: options, data or saved state are wrong, or the loss is no longer finite.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    return Trainer(options, feature_distance).run()


class Trainer:
    """One run: the state that a step changes, and the steps."""

    def __init__(self, options: argparse.Namespace, feature_distance: FeatureDistance | None) -> None:
        self.options = options
        self.feature_distance = feature_distance
        device = resolve_device(options.device)
        able = device.type == "cuda" and torch.cuda.is_bf16_supported()
        bf16 = options.precision == "bf16" or (options.precision == "auto" and able)
        self.accelerator = Accelerator(cpu=device.type == "cpu", mixed_precision="bf16" if bf16 else "no")
        self.device = self.accelerator.device
        processes = self.accelerator.num_processes
        if options.batch % (processes * options.accumulate):
            raise DeblurError(
                f"--batch {options.batch} does not fit {processes} processes x --accumulate {options.accumulate}"
            )
        self.places = range(self.accelerator.process_index, options.batch, processes)
        self.crops = parse_crops(options.crop)
        self.schedule = Schedule(options.schedule, options.learning_rate, options.warmup)
        self.weights = LossWeights(options.content, options.frequency, options.smoothness)
        self.mix = BlurMix(
            tuple(parse_blur_range(text) for text in options.blur),
            options.srgb_share,
            options.noise,
            options.jpeg_share,
            options.highlight_share,
        )
        self.sources, self.sets = read_sources(options)
        self.store = PictureStore(self.device, int(options.memory_gb * 1e9), options.max_side)

        torch.manual_seed(options.seed)
        self.config = network_config(options)
        network = build(self.config)
        if options.init:
            network.load_state_dict(load_released(options.init)[0].state_dict())
        network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
        decay = options.weight_decay if options.optimizer == "adamw" else 0.0
        optimizer = kind(network.parameters(), lr=options.learning_rate, betas=(0.9, 0.999), weight_decay=decay)
        self.ema = AveragedModel(network, multi_avg_fn=_averaging(options.ema), use_buffers=True)
        self.progress = Progress()
        self.folder, state = open_run(options, self.accelerator)
        if state is not None:
            self._restore(network, optimizer, state)
        self.network: nn.Module
        self.network, self.optimizer = self.accelerator.prepare(network, optimizer)
        self.stop_requested = False

    def run(self) -> dict[str, Any]:
        """Train until the steps or the minutes are over, or until someone asks to stop."""
        options, progress = self.options, self.progress
        self.network.train()
        log = TrainingLog(self.folder, progress.step, options.tensorboard, self.accelerator.is_main_process)
        bar = tqdm(
            total=options.steps,
            initial=progress.step,
            unit="step",
            disable=not self.accelerator.is_main_process,
            file=sys.stderr,
            mininterval=5,
        )
        handlers = {number: signal.signal(number, self._ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            while self._share() < 1 and not self.stop_requested:
                began = time.perf_counter()
                terms, waited, files = self._step()
                synchronize(self.device)
                elapsed = time.perf_counter() - began
                progress.step += 1
                progress.seconds += elapsed
                bar.update()
                self._check_finite(terms, files)
                log.count(terms, elapsed, waited, options.batch, crop_at(self.crops, self._share()))
                if progress.step % options.log_every == 0:
                    log.write(progress.step, progress.seconds / 60, self.schedule.rate(self._share()), self.network)
                if progress.step % options.validate_every == 0:
                    self._validate(log)
                elif progress.step % options.checkpoint_every == 0:
                    self._save()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            bar.close()
            self.store.close()
        if self.stop_requested:
            self._save()
            print(f"saved at step {progress.step}; go on with --resume {self.folder}", file=sys.stderr)
            raise KeyboardInterrupt
        scores = self._validate(log)
        log.close()
        metrics = {
            "run": str(self.folder),
            "step": progress.step,
            "minutes": round(progress.seconds / 60, 2),
            "parameters": sum(parameter.numel() for parameter in self.ema.module.parameters()),
            "best": progress.best,
            "validation": scores,
        }
        if self.accelerator.is_main_process:
            write_json(self.folder / "metrics.json", metrics)
        self.accelerator.end_training()
        return metrics

    def _share(self) -> float:
        return self.progress.share(self.options.steps, self.options.max_minutes)

    def _step(self) -> tuple[dict[str, Tensor], float, list[Path]]:
        """One optimiser step; returns the loss terms, the seconds spent on making the batch, and its files."""
        options, progress = self.options, self.progress
        crop = crop_at(self.crops, self._share())
        began = time.perf_counter()
        draws = draw_examples(self.sources, options.seed, progress.step, self.places)
        upcoming = draw_examples(self.sources, options.seed, progress.step + 1, self.places)
        self.store.prefetch([file for draw in upcoming for file in draw.example.files])
        batch = make_batch(draws, self.store, self.mix, crop, quarter_turns=options.quarter_turns)
        waited = time.perf_counter() - began
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self._share())
        totals: dict[str, Tensor] = {}
        parts = options.accumulate
        portions = zip(batch.blurred.chunk(parts), batch.sharp.chunk(parts), strict=True)
        for index, (blurred, sharp) in enumerate(portions):
            # Gradients are exchanged between processes once a step, with the last part.
            with nullcontext() if index == parts - 1 else self.accelerator.no_sync(self.network):
                with self.accelerator.autocast():
                    restored = self.network(blurred.contiguous(memory_format=torch.channels_last))
                terms = restoration_loss(restored, sharp, self.weights)
                if self.feature_distance is not None and progress.step >= options.detector_from:
                    distance = self.feature_distance(restored.picture.float(), sharp)
                    terms["detector"] = options.detector_weight * distance
                self.accelerator.backward(torch.stack(list(terms.values())).sum() / parts)
            for name, term in terms.items():
                totals[name] = totals.get(name, torch.zeros((), device=self.device)) + term.detach() / parts
        if options.clip:
            self.accelerator.clip_grad_norm_(self.network.parameters(), options.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.ema.update_parameters(self.accelerator.unwrap_model(self.network))
        return totals, waited, list(batch.files)

    def _validate(self, log: TrainingLog) -> dict[str, dict[str, float | None]]:
        """Score the averaged weights, keep them where they are the best so far, save, and write samples."""
        scores: dict[str, dict[str, float | None]] = {}
        if self.accelerator.is_main_process:
            module = self.ema.module
            scores = validate(lambda x: module(x).picture, module, self.sets, self.device, self.feature_distance)
            found = [score["restored"] for score in scores.values() if score["restored"] is not None]
            mean = sum(found) / len(found) if found else None
            better = mean is not None and (self.progress.best is None or mean > self.progress.best)
            if better or not found:
                self.progress.best = mean
            log.validated(self.progress.step, self.progress.seconds / 60, scores)
            save_samples(self.folder, self.progress.step, module, self.sets, self.device, self.options.samples)
            for name in ("best", "last") if better or not found else ("last",):
                release(self.folder, name, module, self.config, self.options, self.progress, scores, self.device)
        self._save()
        self.accelerator.wait_for_everyone()
        return scores

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        progress = self.progress
        save_checkpoint(
            self.folder / "weights" / "state.pt",
            {
                "network": self.accelerator.unwrap_model(self.network).state_dict(),
                "ema": self.ema.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "config": config_to_dict(self.config),
                "seed": self.options.seed,
                "step": progress.step,
                "seconds": progress.seconds,
                "best": progress.best,
                "random": torch.get_rng_state(),
            },
        )

    def _restore(self, network: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
        if config_from_dict(state["config"]) != self.config or state["seed"] != self.options.seed:
            raise DeblurError(
                f"{self.folder} was trained with another network or seed; give the same --network, --set and --seed, "
                "or a new --name"
            )
        network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(state["step"], state["seconds"], state["best"])
        torch.set_rng_state(state["random"])

    def _check_finite(self, terms: dict[str, Tensor], files: Sequence[Path]) -> None:
        broken = [name for name, term in terms.items() if not torch.isfinite(term)]
        if broken:
            raise DeblurError(
                f"the {' and '.join(broken)} loss is no longer finite at step {self.progress.step}, batch "
                f"{', '.join(map(str, files))}; the last checkpoint in {self.folder} is good: resume it with a smaller "
                "--learning-rate, --clip 0.1 or --precision no"
            )

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self.stop_requested = True


def _averaging(decay: float) -> Callable[..., None]:
    """The exponential moving average, faster at first so that it leaves the random start behind."""

    @torch.no_grad()
    def average(averages: list[Tensor], values: list[Tensor], count: Tensor) -> None:
        kept = min(decay, (1.0 + float(count)) / (10.0 + float(count)))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value, 1 - kept)
            else:
                average.copy_(value)

    return average
