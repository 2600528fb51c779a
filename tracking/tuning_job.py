"""A search for settings on the scenes of one's own: which are searched on, which check, and what a trial is worth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scenes import NUSCENES, InputError, Results, Scene
from scenes.files import write_atomically
from tracking.config import TrackerConfig
from tracking.judge import Judge
from tracking.run import track_results
from tracking.tuning import Tuned, config_source, tune


@dataclass(frozen=True)
class TuningJob:
    """The data of a search.

    Attributes:
        detections: of all scenes.
        fingerprint: of the file that they are from, see `digest`.
        name: of that file.
        searched: scenes to search on.
        held_out: scenes to check the result on.
        judge: of the tracks.
        workers: processes that track.
    """

    detections: Results
    fingerprint: str
    name: str
    searched: list[Scene]
    held_out: list[Scene]
    judge: Judge
    workers: int

    def amota(self, config: TrackerConfig, scenes: list[Scene]) -> float:
        """What settings are worth on some of the scenes."""
        return float(self.judge(track_results(self.detections, scenes, config, self.workers), scenes).summary["amota"])

    def search(
        self, base: TrackerConfig, n_trials: int, folder: Path, seed: int, advance: Callable[[], object]
    ) -> Tuned:
        """Search and write `tuned.py`; goes on with the journal `trials.journal` of the folder.

        Args:
            base: where the search starts.
            n_trials: trials of this run.
            folder: for the two files.
            seed: of the search.
            advance: called before each trial.

        Raises:
            InputError: see `tracking.tuning.tune`.
        """

        def objective(config: TrackerConfig) -> float:
            advance()
            return self.amota(config, self.searched)

        tokens = (token.encode() for scene in self.searched for token in scene.sample_tokens)
        classes = () if base.taxonomy == NUSCENES else (repr(base.taxonomy.classes).encode(),)
        inputs = {"detections": self.fingerprint, "scenes": digest([*tokens, *classes])}
        tuned = tune(base, objective, n_trials, folder / "trials.journal", seed, inputs=inputs)
        comment = f"Tuned on {self.name}: AMOTA {tuned.start:.4f} -> {tuned.best:.4f} where it was searched."
        write_atomically(folder / "tuned.py", config_source(tuned.config, comment).encode())
        return tuned


def parted(scenes: Sequence[Scene], n_held_out: int | None = None) -> tuple[list[Scene], list[Scene]]:
    """Scenes to search on and scenes to check on, the latter spread over the split.

    Args:
        scenes: all.
        n_held_out: how many check; None for a third.

    Raises:
        InputError: no scene would be left to search on.
    """
    count = len(scenes) // 3 if n_held_out is None else n_held_out
    if not 0 <= count < len(scenes):
        raise InputError(f"--held-out {count}: the split has {len(scenes)} scenes, at least one has to be searched on")
    held_out = {index * len(scenes) // count for index in range(count)} if count else set()
    kept = [scene for index, scene in enumerate(scenes) if index not in held_out]
    return kept, [scenes[index] for index in sorted(held_out)]


def digest(parts: Iterable[bytes]) -> str:
    """SHA-256 of some content, part after part."""
    content = hashlib.sha256()
    for part in parts:
        content.update(part)
    return content.hexdigest()
