"""What may start the processes of a run; for parsers of command lines, which do not wait for torch."""

from typing import Final

LAUNCHERS: Final = ("none", "pytorch", "slurm")
