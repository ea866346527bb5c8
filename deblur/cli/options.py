"""Options from a command line, over those of a configuration file or of a run that goes on."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from deblur.cli.lines import one_line
from deblur.cli.running import EXIT_INTERRUPTED
from deblur.cli.types import given_path, seed_number
from deblur.yaml_text import YamlError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

_Options = TypeVar("_Options")


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--config FILE``: a YAML mapping of option names (without dashes) to values."""
    parser.add_argument(
        "--config", type=given_path, metavar="FILE", help="YAML file of option values; options on the command line win"
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device auto|cpu|cuda|cuda:N|mps``."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed N``."""
    parser.add_argument("--seed", type=seed_number, default=0, help="seed of everything random (default: 0)")


class Collect(argparse.Action):
    """``--x A B`` and ``--x A --x B`` mean the same, and replace what a configuration file says."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Add ``values`` to those of this command line."""
        gathered = getattr(namespace, self.dest, self.default)
        if gathered is self.default:
            gathered = []
        setattr(namespace, self.dest, [*gathered, *values])


def at_home(word: str) -> str:
    """A word with the user's home for ``~`` at its beginning or behind its first ``=``, where a shell has left it."""
    name, there, path = word.partition("=~")
    home = os.path.expanduser(f"~{path}" if there else word)  # noqa: PTH111 - of any word, which a Path might change
    return f"{name}={home}" if there else home


def words_of(argv: Sequence[str] | None) -> list[str]:
    """A command line, this process's for None; see ``at_home``."""
    return [at_home(word) for word in (sys.argv[1:] if argv is None else argv)]


def parse_args(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse ``argv`` over the values of ``--config``, if the parser has that option and it is given.

    A key that is no option, or a value of the wrong kind, is a usage error (exit 2) that names the file and the key.
    Options are not abbreviated: what one stands for must not change when another is added.
    """
    return parse_into(argparse.Namespace(), parser, argv)


def parse_into(
    options: _Options,
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None = None,
    resumed: Path | None = None,
    otherwise: str = "",
) -> _Options:
    """As ``parse_args``, set as the attributes of ``options``, whose class says of which types they are.

    Args:
        options: whose attributes are set.
        parser: of the command.
        argv: the command line, this process's for None.
        resumed: folder of a run that ``--resume`` goes on with. The values of ``--config`` stand over the options that
            its ``config.yaml`` holds, and the command line over both.
        otherwise: what else may be done than to go on with a run of another command by that one, in words.
    """
    parser.allow_abbrev = False
    arguments = words_of(argv)
    given = typed_value(arguments, "--config")
    try:
        if resumed is not None:
            recorded = _read_mapping(parser, resumed / "config.yaml")
            _refuse_foreign(parser, resumed, recorded, otherwise)
            _take_defaults(parser, resumed / "config.yaml", recorded)
        if given:  # of an empty one the parser complains
            _take_defaults(parser, Path(given), _read_mapping(parser, Path(given)))
        return parser.parse_args(arguments, options)
    except KeyboardInterrupt:  # some values are understood by what takes seconds to import
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _refuse_foreign(
    parser: argparse.ArgumentParser, resumed: Path, recorded: Mapping[str, object], otherwise: str
) -> None:
    """A usage error where the run to go on with is another command's, as one with a detector that teaches."""
    foreign = sorted({key.replace("-", "_") for key in recorded} - {action.dest for action in parser._actions})
    if foreign:
        parser.error(
            f"--resume {resumed}: the run has options that this command lacks ({one_line(option_list(foreign))}); go "
            f"on by the command that began it{otherwise}"
        )


def _take_defaults(parser: argparse.ArgumentParser, config: Path, content: Mapping[str, object]) -> None:
    """Let a configuration file say what is not typed."""
    actions = {action.dest: action for action in parser._actions if action.dest not in {"help", "config"}}
    defaults = {}
    for key, value in content.items():
        dest = key.replace("-", "_")
        if dest not in actions:
            parser.error(f"{config}: unknown option {key!r}; known: {', '.join(sorted(actions))}")
        if dest in defaults:
            parser.error(f"{config}: {key!r} is there twice, with - and with _: leave one out")
        defaults[dest] = _checked(parser, config, key, actions[dest], value)
        actions[dest].required = False
    parser.set_defaults(**defaults)


def add_resumable_options(parser: argparse._ActionsContainer, task: str) -> None:
    """Add ``--output`` and ``--resume`` of runs that go on; ``task`` is the folder of new ones below ``runs/``."""
    parser.add_argument(
        "--output", type=given_path, metavar="RUN", help=f"folder of a new run (default: one in runs/{task})"
    )
    parser.add_argument(
        "--resume",
        type=given_path,
        metavar="RUN",
        help="go on with a stopped run and its options; --device may be another",
    )


def parse_resumable(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """As ``parse_args``, over the options of the run whose folder ``--resume RUN`` names; ``--output`` goes without."""
    arguments = words_of(argv)
    resumed = typed_value(arguments, "--resume")
    folder = Path(resumed) if resumed else None  # of an empty one the parser complains
    if folder is not None and not (folder / "config.yaml").is_file():
        parser.error(f"--resume {folder} is no run of this command: there is no config.yaml in it")
    options = parse_into(argparse.Namespace(), parser, arguments, folder)
    if options.resume and options.output:
        parser.error("--resume and --output both name the run's folder: give one")
    return options


def typed_value(arguments: Sequence[str], option: str) -> str | None:
    """What a command line says of an option of one value, before the whole of it is parsed; None for nothing."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument(option, dest="value", nargs="?")  # without a value the command's own parser complains
    value: str | None = finder.parse_known_args(arguments)[0].value
    return value


def given_options(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> set[str]:
    """The options of the command line itself, by ``dest``, without what ``--config`` says.

    A configuration may well hold more than a run uses; what is typed and would do nothing is a mistake.
    """
    words = {word.partition("=")[0] for word in (sys.argv[1:] if argv is None else argv)}
    return {action.dest for action in parser._actions if words.intersection(action.option_strings)}


def option_list(names: Iterable[str]) -> str:
    """Options by ``dest`` as they are typed, with commas between."""
    return ", ".join(f"--{name.replace('_', '-')}" for name in names)


def plain_options(options: object, without: Collection[str]) -> dict[str, Any]:
    """The options but those named, as a configuration file holds them and ``parse_args`` reads them again."""
    return {key: _plain(value) for key, value in vars(options).items() if key not in without}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        # What one word of a command line stands for may be several values, as in a,b.
        groups = [each if isinstance(each, tuple) else (each,) for each in value]
        return [_plain(item) for group in groups for item in group]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _read_mapping(parser: argparse.ArgumentParser, config: Path) -> dict[str, object]:
    try:
        content = read_yaml(config, as_typed=True)
    except OSError as error:
        parser.error(f"cannot read {config}: {error.strerror}")
    except YamlError as error:
        parser.error(f"{config} is not YAML: {error}")
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        parser.error(f"{config}: a mapping of option names to values is needed at the top level")
    return content


def _checked(parser: argparse.ArgumentParser, config: Path, key: str, action: argparse.Action, value: object) -> object:
    """One value from a configuration file, converted as the command line would convert it."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        if not isinstance(value, bool):
            parser.error(f"{config}: {key} is a switch: true or false, not {value!r}")
        return value
    if value is None and action.default is None and not action.required:
        return None
    if action.nargs in {"*", "+"}:
        values = value if isinstance(value, list) else [value]
        if not values and action.nargs == "+" and action.default != []:
            parser.error(f"{config}: {key} is an empty list: name at least one, or leave the key out")
        return [_converted(parser, config, key, action, item) for item in values]
    return _converted(parser, config, key, action, value)


def _converted(
    parser: argparse.ArgumentParser, config: Path, key: str, action: argparse.Action, value: object
) -> object:
    if isinstance(value, (list, dict)):
        parser.error(f"{config}: {key} takes one value, not {value!r}")
    if value is None:
        parser.error(f"{config}: {key} has no value: give one, or leave the key out")
    if isinstance(value, bool):
        parser.error(f"{config}: {key} is no switch, and yes, no, on, off, true and false are one: put them in quotes")
    convert = action.type if callable(action.type) else str
    try:
        converted = convert(at_home(str(value)))
    except (argparse.ArgumentTypeError, ValueError) as error:
        parser.error(f"{config}: {key}: {error}")
    if action.choices is not None and converted not in action.choices:
        parser.error(f"{config}: {key}: {value!r} is none of {', '.join(map(str, action.choices))}")
    return converted
