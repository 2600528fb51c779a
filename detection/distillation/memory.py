"""`PairedMemory`: what a student and its teacher remember, kept, saved and forgotten together."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from detection.models.memory import TemporalMemory


class PairedMemory:
    """The memories of several detectors behind the interface by which training resets, saves and restores one."""

    def __init__(self, memories: Mapping[str, TemporalMemory]) -> None:
        """A pair.

        Args:
            memories: by the name of their owner.
        """
        self._memories = dict(memories)

    def reset(self) -> None:
        """Forget everything."""
        for memory in self._memories.values():
            memory.reset()

    def state(self) -> dict[str, Tensor]:
        """Everything a later run needs to go on, by `<owner>.<name>`; empty after a reset."""
        return {
            f"{owner}.{name}": value
            for owner, memory in self._memories.items()
            for name, value in memory.state().items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a `state()`.

        Raises:
            InputError: the state of memories of another shape.
        """
        for owner, memory in self._memories.items():
            prefix = f"{owner}."
            memory.load_state({name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)})
