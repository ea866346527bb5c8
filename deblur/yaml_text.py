"""YAML that people write: whatever is wrong with it is one kind of error, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


class YamlError(ValueError):
    """A text is no YAML; says why, in one line."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, of which the last would win in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise YamlError(f"{key.value!r} is there twice, again in line {key.start_mark.line + 1}")
                seen.add((key.tag, key.value))
        return node


def parse_yaml(text: str) -> Any:
    """What a text says; None for an empty one.

    Raises:
        YamlError: it is no YAML, has a key twice, a date that cannot be or a tag that is not of its value, or nests
            too deep.
    """
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError of dates
        raise YamlError(" ".join(str(error).split())) from error
    except (LookupError, AttributeError):  # as of !!bool maybe
        raise YamlError("a value is not of the kind that its tag says") from None
    except RecursionError:
        raise YamlError("it nests too deep") from None


def read_yaml(file: Path) -> Any:
    """What a file says; see ``parse_yaml``.

    Raises:
        OSError: the file cannot be read.
        YamlError: as there, or it is not in UTF-8.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise YamlError(str(error)) from error
    return parse_yaml(text)
