"""Making the batch of the next step while the network still learns from this one."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from deblur.training.batches import Batch


def pays_ahead(device: torch.device) -> bool:
    """Whether making batches in a second thread gains time: always beside a GPU, on a CPU where cores are left over."""
    return device.type != "cpu" or 2 * torch.get_num_threads() <= (os.cpu_count() or 1)


def workers_beside(device: torch.device, processes: int) -> int:
    """How many processes plan batches beside each of a machine's ``processes`` that train on ``device``.

    None beside a CPU, which they would take from the network; beside GPUs all cores but two a training process.
    """
    return 0 if device.type == "cpu" else max((os.cpu_count() or 1) // processes - 2, 0)


class BatchLoader:
    """Batches by step, the same ones whether or not they are made ahead.

    On CUDA they are made on a stream of their own: copying a blur's path to the GPU then waits for other batches, not
    for the training step that the GPU is busy with.

    Args:
        make: makes the batch of a step with crops of a side.
        device: where ``make`` makes it.
        ahead: make the prepared batch in a thread; otherwise every batch is made when it is taken.
    """

    def __init__(self, make: Callable[[int, int], Batch], device: torch.device, *, ahead: bool) -> None:
        self._make = make
        self._stream = torch.cuda.Stream(device) if ahead and device.type == "cuda" else None
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="batches") if ahead else None
        self._prepared: tuple[int, int, Future[Batch]] | None = None

    def prepare(self, step: int, crop: int) -> None:
        """Begin to make a batch that will be taken next."""
        if self._maker is not None:
            self._prepared = (step, crop, self._maker.submit(self._make_apart, step, crop))

    def take(self, step: int, crop: int) -> Batch:
        """The batch of ``step``: the prepared one if it is that, else made now."""
        if self._maker is None:
            return self._make(step, crop)
        if self._prepared is None or self._prepared[:2] != (step, crop):
            self.prepare(step, crop)
        assert self._prepared is not None
        batch = self._prepared[2].result()
        self._prepared = None
        if self._stream is not None:
            for tensor in (batch.blurred, batch.sharp, batch.guide):
                # Their memory belongs to the other stream, which must not reuse it while this one still reads it.
                if tensor is not None:
                    tensor.record_stream(torch.cuda.current_stream(tensor.device))
        return batch

    def close(self) -> None:
        """Stop making batches."""
        if self._maker is not None:
            self._maker.shutdown(wait=True, cancel_futures=True)

    def _make_apart(self, step: int, crop: int) -> Batch:
        with torch.cuda.stream(self._stream) if self._stream is not None else contextlib.nullcontext():
            batch = self._make(step, crop)
        if self._stream is not None:
            self._stream.synchronize()
        return batch
