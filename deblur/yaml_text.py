"""YAML that people write: whatever is wrong with it is one kind of error, in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


class YamlError(ValueError):
    """A text is no YAML; says why, in one line."""


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, of which the last would win in silence, and aliases of lists.

    A few hundred letters of these stand for more than any memory holds.
    """

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            merges = isinstance(index, yaml.ScalarNode) and index.value == "<<"
            if not merges and not isinstance(self.anchors.get(event.anchor), yaml.ScalarNode | None):
                raise YamlError(
                    f"*{event.anchor} in line {event.start_mark.line + 1} stands for a list or a mapping: write it out"
                )
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise YamlError(f"{key.value!r} is there twice, again in line {key.start_mark.line + 1}")
                seen.add((key.tag, key.value))
        return node


_LEFT = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "merge")}


class _TypedLoader(_Loader):
    """Leaves numbers and dates the text that they are."""


_TypedLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in _LEFT]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str, *, as_typed: bool = False) -> Any:
    """What a text says; None for an empty one.

    Args:
        text: YAML 1.1, in which 007 is a 7, 0640 a 416, 12:30 a 750 and 20261130_1715 a number.
        as_typed: leave what is a number or a date there the text that it is.

    Raises:
        YamlError: it is no YAML, has a key twice, a date that cannot be or a tag that is not of its value, or nests
            too deep.
    """
    try:
        return yaml.load(text, _TypedLoader if as_typed else _Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError of dates
        raise YamlError(" ".join(str(error).split())) from error
    except (LookupError, AttributeError):  # as of !!bool maybe
        raise YamlError("a value is not of the kind that its tag says") from None
    except RecursionError:
        raise YamlError("it nests too deep") from None


def read_yaml(file: Path, *, as_typed: bool = False) -> Any:
    """What a file says; see ``parse_yaml``.

    Raises:
        OSError: the file cannot be read.
        YamlError: as there, or it is not in UTF-8.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise YamlError(str(error)) from error
    return parse_yaml(text, as_typed=as_typed)
