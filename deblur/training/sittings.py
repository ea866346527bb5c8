"""By what a run was trained, sitting after sitting: options may change where it goes on, and code and processes too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deblur.cli import option_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NO_FIGURE = (
    "config",
    "name",
    "resume",
    "json",
    "output",
    "device",
    "threads",
    "workers",
    "memory_gb",
    "samples",
    "tensorboard",
)
"""Options that may differ where a run goes on: they change no figure but by rounding."""
_NO_RECIPE = (*NO_FIGURE, "log_every", "checkpoint_every")
OF_STEPS = frozenset(
    (
        *("batch", "accumulate", "crop", "context", "path_share", "quarter_turns"),
        *("blur", "srgb_share", "noise", "jpeg_share", "highlight_share", "rolling_share"),
        *("optimizer", "learning_rate", "schedule", "warmup", "weight_decay", "clip", "ema", "freeze_norm"),
        *("precision", "compile", "content", "frequency", "smoothness"),
    )
)
"""Options of how steps are made, which do nothing where none is left to make."""


def sitting(options: Mapping[str, Any], step: int, commit: str | None, processes: int) -> dict[str, Any]:
    """What is trained by from here on, as plain values for the training state.

    Args:
        options: of training, as ``config.yaml`` holds them.
        step: that was made last; 0 for a new run.
        commit: of the code, if it is known.
        processes: that train.
    """
    recipe = {key: value for key, value in options.items() if key not in _NO_RECIPE}
    return {"first_step": step + 1, "commit": commit, "processes": processes, "options": recipe}


def with_sitting(former: Sequence[dict[str, Any]], now: dict[str, Any]) -> list[dict[str, Any]]:
    """The sittings with one more, without those that left no step; one like the last goes on with it."""
    kept = [one for one in former if one["first_step"] < now["first_step"]]
    alike = kept and all(kept[-1][key] == now[key] for key in now if key != "first_step")
    return kept if alike else [*kept, now]


def on_card(sittings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The sittings for a card, in which ``changed`` stands for the options: nothing in the first."""
    return [
        {key: one[key] for key in ("first_step", "commit", "processes")} | {"changed": changes(before, one)}
        for before, one in zip([*sittings[:1], *sittings], sittings, strict=False)
    ]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The options that two sittings have otherwise, each with both values; one that is not there is None."""
    first, second = before["options"], now["options"]
    return {
        key: [first.get(key), second.get(key)] for key in sorted({*first, *second}) if first.get(key) != second.get(key)
    }


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The options that two sittings have otherwise, in words; nothing where there are none."""
    return ", ".join(f"{option_list([key])} {new} (was {old})" for key, (old, new) in changes(before, now).items())
