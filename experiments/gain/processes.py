"""Several processes of one run, as ``torchrun`` and ``accelerate launch`` start them: picture i goes to i mod n."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar, cast

from deblur.errors import DeblurError
from deblur.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of the run.

    Attributes:
        index: its number, from 0.
        count: how many there are.
        local_index: its number on its machine, which is the number of its GPU.
    """

    index: int = 0
    count: int = 1
    local_index: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that scores, writes and prints."""
        return self.index == 0

    def share(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part: items index, index + count, ..."""
        return items[self.index :: self.count]

    def device(self, name: str) -> str:
        """The device of this process where ``name`` is asked for: with several processes ``auto`` is a GPU each."""
        if self.count == 1 or name != "auto":
            return name
        import torch

        if not torch.cuda.is_available():
            return name
        return f"cuda:{self.local_index % torch.cuda.device_count()}"

    def wait(self) -> None:
        """Return when every process has come here."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().wait_for_everyone()

    def agree(self, make: Callable[[], Item]) -> Item:
        """What the first process makes, in every process; where it makes a mistake they all do.

        Else the others would wait for a process that is gone, and say so in a traceback.

        Raises:
            DeblurError: of the first process.
        """
        if self.count == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        made: list[Item | DeblurError | None] = [None]
        if self.is_first:
            try:
                made[0] = make()
            except DeblurError as error:
                made[0] = error
        broadcast_object_list(made)
        if isinstance(made[0], DeblurError):
            self.leave()
            raise made[0]
        return cast("Item", made[0])

    def leave(self) -> None:
        """End the connection between the processes."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().destroy_process_group()


def join_processes() -> Processes:
    """Find the other processes of the run, if the environment names any.

    They speak through gloo on the CPU also where they compute on GPUs: all they say is a folder's name and that they
    are done.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    from accelerate import PartialState

    state = PartialState(cpu=True, timeout=PATIENCE)
    return Processes(state.process_index, state.num_processes, state.local_process_index)
