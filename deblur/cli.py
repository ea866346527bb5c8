"""What every command line of the project shares: configuration files, common options and exit codes."""

from __future__ import annotations

import argparse
import errno
import io
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deblur.errors import DeblurError
from deblur.memory import keep_freed_memory
from deblur.yaml_text import YamlError, read_yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from deblur.blur import BlurSpec

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
_FULL = frozenset((errno.EPIPE, errno.ENOSPC, errno.EDQUOT))
# What torch says where it has no kind of its own for that: on a processor, and on Apple's GPUs.
_LACKS_MEMORY = ("DefaultCPUAllocator: can't allocate memory", "MPS backend out of memory")
_REFUSED = frozenset((errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EROFS))


def add_config_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--config FILE``: a YAML mapping of option names (without dashes) to values."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="YAML file of option values; options on the command line win"
    )


def add_device_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--device auto|cpu|cuda|cuda:N|mps``."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")


def add_seed_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed N``."""
    parser.add_argument("--seed", type=seed_number, default=0, help="seed of everything random (default: 0)")


def positive_int(text: str) -> int:
    """Argument type: a whole number of at least 1."""
    return _whole(text, 1)


def detector_side(text: str) -> int:
    """Argument type: side of the square that a detector sees, in pixels, a multiple of 32."""
    side = positive_int(text)
    if side % 32:
        raise argparse.ArgumentTypeError(f"{text} is not a multiple of 32")
    return side


def whole_number(text: str) -> int:
    """Argument type: a whole number of at least 0."""
    return _whole(text, 0)


def seed_number(text: str) -> int:
    """Argument type: a whole number that every generator of random numbers takes."""
    seed = whole_number(text)
    if seed >= 2**63:
        raise argparse.ArgumentTypeError(f"{text} is larger than a seed can be, {2**63 - 1}")
    return seed


def not_negative(text: str) -> float:
    """Argument type: a finite number of at least 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def above_zero(text: str) -> float:
    """Argument type: a finite number above 0."""
    value = not_negative(text)
    if value == 0.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def unit_interval(text: str) -> float:
    """Argument type: a number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def below_one(text: str) -> float:
    """Argument type: a number from 0 up to but not including 1."""
    value = unit_interval(text)
    if value == 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to below 1")
    return value


def folder_name(text: str) -> str:
    """Argument type: a name that a folder can have."""
    if text in {"", ".", ".."} or {"/", "\\"} & {*text}:
        raise argparse.ArgumentTypeError(f"{text!r} is no name for a folder: no / and no \\, and not nothing")
    return text


def not_empty(text: str) -> str:
    """Argument type: text, and not the nothing of a shell's variable that is not set."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty: is a variable of the shell not set?")
    return text


def blur_spec(text: str) -> BlurSpec:
    """Argument type: a kind of synthetic blur, ``shake:16`` (``deblur.blur.parse_blur``)."""
    from deblur.blur import parse_blur

    try:
        return parse_blur(text)
    except DeblurError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def blur_text(text: str) -> str:
    """Argument type: as ``blur_spec``, but the text itself, for records of what was asked."""
    blur_spec(text)
    return text


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


def parse_args(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse ``argv`` over the values of ``--config``, if the parser has that option and it is given.

    A key that is no option, or a value of the wrong kind, is a usage error (exit 2) that names the file and the key.
    Options are not abbreviated: what one stands for must not change when another is added.
    """
    try:
        return _parsed(parser, argv)
    except KeyboardInterrupt:  # some values are understood by what takes seconds to import
        print("interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def _parsed(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    parser.allow_abbrev = False
    arguments = list(sys.argv[1:] if argv is None else argv)
    given = typed_value(arguments, "--config")
    if given is None:
        return parser.parse_args(arguments)
    config = Path(given)
    actions = {action.dest: action for action in parser._actions if action.dest not in {"help", "config"}}
    defaults = {}
    for key, value in _read_mapping(parser, config).items():
        dest = key.replace("-", "_")
        if dest not in actions:
            parser.error(f"{config}: unknown option {key!r}; known: {', '.join(sorted(actions))}")
        if dest in defaults:
            parser.error(f"{config}: {key!r} is there twice, with - and with _: leave one out")
        defaults[dest] = _checked(parser, config, key, actions[dest], value)
        actions[dest].required = False
    parser.set_defaults(**defaults)
    return parser.parse_args(arguments)


def add_resumable_options(parser: argparse._ActionsContainer, task: str) -> None:
    """Add ``--output`` and ``--resume`` of runs that go on; ``task`` is the folder of new ones below ``runs/``."""
    parser.add_argument(
        "--output", type=Path, metavar="RUN", help=f"folder of the run (default: a new one in runs/{task})"
    )
    parser.add_argument("--resume", type=Path, metavar="RUN", help="go on with a stopped run and its options")


def parse_resumable(parser: argparse.ArgumentParser, argv: Sequence[str] | None = None) -> argparse.Namespace:
    """As ``parse_args``, over the options of the run whose folder ``--resume RUN`` names; ``--output`` goes without."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    resumed = typed_value(arguments, "--resume")
    if resumed is not None:
        if not (Path(resumed) / "config.yaml").is_file():
            parser.error(f"--resume {resumed} is no run of this command: there is no config.yaml in it")
        arguments = over_options_of(Path(resumed), arguments)
    options = parse_args(parser, arguments)
    if options.resume and options.output:
        parser.error("--resume and --output both name the run's folder: give one")
    return options


def over_options_of(run: Path, arguments: Sequence[str]) -> list[str]:
    """A command line over the options of a run that goes on, or over those of its own ``--config`` if it has one."""
    return ["--config", str(run / "config.yaml"), *arguments]


def typed_value(arguments: Sequence[str], option: str) -> str | None:
    """What a command line says of an option of one value, before the whole of it is parsed; None for nothing."""
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    finder.add_argument(option, dest="value")
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


def plain_options(options: argparse.Namespace, without: Collection[str]) -> dict[str, Any]:
    """The options but those named, as a configuration file holds them and ``parse_args`` reads them again."""
    return {key: _plain(value) for key, value in vars(options).items() if key not in without}


def run(body: Callable[[], int], expected: tuple[type[Exception], ...] = (DeblurError,)) -> int:
    """Call ``body`` and turn what it raises into an exit code.

    Exceptions in ``expected``, a full disk, a closed stdout, a file that the machine refuses (no permission, no name
    that a file can have) and memory that does not suffice become one line on stderr and exit code 1; Ctrl-C becomes
    130; anything else is a defect and passes through with its traceback.
    """
    keep_freed_memory()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: file names may hold bytes that are no UTF-8
    try:
        code = body()
        sys.stdout.flush()
        return code
    except expected as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except OSError as error:
        if error.errno in _FULL:
            where = f" to {error.filename}" if error.filename else ""
            print(f"error: not all could be written{where}: {error.strerror}", file=sys.stderr)
        elif error.errno in _REFUSED and error.filename:
            print(f"error: cannot use {str(error.filename)!r}: {error.strerror}", file=sys.stderr)
        else:
            raise
        return EXIT_FAILED
    except (MemoryError, RuntimeError) as error:
        if not lacks_memory(error):
            raise
        reason = str(error).partition("\n")[0] or "this machine has no more"
        print(f"error: not enough memory, give smaller batches, crops or pictures: {reason}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt as error:  # it may say how to go on
        print(": ".join(["interrupted", *map(str, error.args)]), file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        _let_go_of_stdout()


def hangup() -> tuple[signal.Signals, ...]:
    """SIGHUP, by which a terminal that is closed ends its programs; nothing where nohup lets it be ignored."""
    number = getattr(signal, "SIGHUP", None)  # Windows has none
    return () if number is None or signal.getsignal(number) is signal.SIG_IGN else (number,)


def lacks_memory(error: Exception) -> bool:
    """Whether an exception says that memory does not suffice, the machine's or a GPU's, in whatever words."""
    if isinstance(error, MemoryError) or any(words in str(error) for words in _LACKS_MEMORY):
        return True
    torch = sys.modules.get("torch")  # not every command needs it
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        # What one word of a command line stands for may be several values, as in a,b.
        groups = [each if isinstance(each, tuple) else (each,) for each in value]
        return [_plain(item) for group in groups for item in group]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _let_go_of_stdout() -> None:
    """What it still holds and cannot write would fail once more, with a traceback, when Python ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return value


def _read_mapping(parser: argparse.ArgumentParser, config: Path) -> dict[str, object]:
    try:
        content = read_yaml(config)
    except OSError as error:
        parser.error(f"cannot read --config {config}: {error.strerror}")
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
    if isinstance(action, argparse._AppendAction) or action.nargs in {"*", "+"}:
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
    # What has no type is text on the command line, so a bare number or date is text here too.
    convert = action.type if callable(action.type) else str
    try:
        converted = convert(str(value))
    except (argparse.ArgumentTypeError, ValueError) as error:
        parser.error(f"{config}: {key}: {error}")
    if action.choices is not None and converted not in action.choices:
        parser.error(f"{config}: {key}: {value!r} is none of {', '.join(map(str, action.choices))}")
    return converted
