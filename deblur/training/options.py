"""The options of training, by type: what ``deblur.train`` parses them into, and all of training reads them from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path

HEAVIEST = 1_000_000
"""The largest weight of a folder or of a blur, so that their sum is a number too."""


class TrainingOptions:
    """Training's options; what each means its help says, and types and choices are those of the parser.

    No value stands here: the parser sets every one, its default too. It is no ``argparse.Namespace``, of which type
    checkers take any attribute for one that is there. A command that has other options beside these has a subclass.
    """

    config: Path | None
    name: str
    output: Path
    resume: str
    json: bool

    # network
    network: str | None  # None only beside --init, once parse_training_args has been through
    set: list[str]
    init: str | None
    estimator: str | None

    # data
    pairs: list[str]
    sharp: list[str]
    frames: list[str]
    max_side: int | None
    memory_gb: float
    batch: int
    accumulate: int
    crop: str
    context: int
    path_share: float
    quarter_turns: bool

    # blur
    blur: list[str]
    srgb_share: float
    noise: float
    jpeg_share: float
    highlight_share: float
    rolling_share: float

    # recipe
    steps: int | None
    max_minutes: float | None
    optimizer: Literal["adamw", "adam"]
    learning_rate: float
    schedule: Literal["cosine", "halving", "constant"]
    warmup: float
    weight_decay: float
    clip: float
    ema: float
    freeze_norm: bool
    precision: Literal["auto", "no", "bf16"]
    compile: bool
    content: float
    frequency: float
    smoothness: float

    # validation and saving
    val_pairs: list[str]
    val_sharp: list[str]
    hold_out: float
    val_blur: list[str]
    val_limit: int
    val_side: int
    validate_every: int
    checkpoint_every: int
    log_every: int
    samples: int
    tensorboard: bool

    # the machine
    device: str
    threads: int | None
    workers: int | None
    seed: int


def of_training_alone(options: TrainingOptions) -> TrainingOptions:
    """A copy without what a command has beside training's options: a run of it goes on by ``deblur.train``."""
    alone = TrainingOptions()
    vars(alone).update(
        (name, value) for name, value in vars(options).items() if name in TrainingOptions.__annotations__
    )
    return alone
