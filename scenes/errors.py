"""The one exception for input that cannot be used: a file, a data root, a split, a setting."""

from collections.abc import Sequence
from difflib import get_close_matches

_LONGEST_SHOWN = 200
_MOST_NAMES = 30


class InputError(ValueError):
    """Input that a person has to mend. Its message is one line and says what is wrong and where."""


def shown(value: object) -> str:
    """A value out of some input as a message quotes it: of a long one the begin."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def nearest_names(name: str, known: Sequence[str]) -> str:
    """The known names that are most like one that is not known, said to be so; or else all of them."""
    close = get_close_matches(name.lower(), [one.lower() for one in known], n=3, cutoff=0.5)
    nearest = [one for one in known if one.lower() in close]
    if nearest and len(nearest) < len(known):
        return f"nearest: {', '.join(nearest)}"
    return ", ".join(known[:_MOST_NAMES]) + (", ..." if len(known) > _MOST_NAMES else "")


def unknown_name(name: str, known: Sequence[str]) -> str:
    """What a message says of a name that is none of the known ones: with the nearest, or all."""
    return f"{shown(name)} is none of the known ones ({nearest_names(name, known)})"
