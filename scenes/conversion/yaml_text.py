"""Reads and writes YAML as people write it: a key stands once, `1e-05` is a number, a number is finite."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, Final

import yaml

from scenes.conversion.text_files import read_text
from scenes.errors import InputError, shown
from scenes.json_text import LARGEST_NUMBER

_FLOAT: Final = "tag:yaml.org,2002:float"
_MERGE: Final = "tag:yaml.org,2002:merge"
_EXPONENT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$")


def read_yaml(path: Path) -> Any:
    """What a YAML file says, in plain types.

    Raises:
        InputError: it cannot be read, a key stands twice in a mapping, or a number is not finite.
    """
    text = read_text(path)
    try:
        loader = _Loader(text)
        loader.path = path
        return loader.get_single_data()
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: of a date such as 2024-99-99
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None


def quoted(text: str) -> str:
    """A text as YAML in quotes, on one line."""
    written: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=math.inf)
    return written.strip()


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    path: Path

    def compose_mapping_node(self, anchor: Any) -> Any:
        """As it is composed, before merged keys join it: these may be there already."""
        node = super().compose_mapping_node(anchor)
        first: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue
            if (name := (key.tag, key.value)) in first:
                raise InputError(f"{self.path}:{line}: the key {shown(key.value)} is in line {first[name]} already")
            first[name] = line
        return node

    def finite(self, node: Any) -> float:
        """Infinity and nan are numbers of YAML, but nothing that is measured."""
        value: float = self.construct_yaml_float(node)
        if not abs(value) <= LARGEST_NUMBER:
            raise InputError(f"{self.path}:{node.start_mark.line + 1}: {node.value} is not finite")
        return value


_Loader.add_constructor(_FLOAT, _Loader.finite)
# YAML 1.1, which PyYAML reads, wants a dot and a sign in such numbers; YAML 1.2 and Python do not.
_Loader.add_implicit_resolver(_FLOAT, _EXPONENT, list("-+.0123456789"))
