"""The one exception for input that cannot be used: a file, a data root, a split, a setting."""


class InputError(ValueError):
    """Input that a person has to mend. Its message is one line and says what is wrong and where."""
