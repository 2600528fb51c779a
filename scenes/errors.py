"""The one exception for input that cannot be used: a file, a data root, a split, a setting."""

_LONGEST_SHOWN = 200


class InputError(ValueError):
    """Input that a person has to mend. Its message is one line and says what is wrong and where."""


def shown(value: object) -> str:
    """A value out of some input as a message quotes it: of a long one the begin."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."
