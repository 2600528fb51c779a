"""What the metrics of validation share: each process keeps its samples, all are scored together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.evaluator import BaseMetric


class GatheredMetric(BaseMetric):  # type: ignore[misc]  # mmengine is untyped
    """Processes may hold any share of the samples: all are gathered, and the main process scores them for everybody.

    Each data sample is a pair of what names a frame or an image, and what was found in it.
    """

    def process(self, data_batch: Any, data_samples: Sequence[tuple[Any, Any]]) -> None:
        """Keep what was found in a batch."""
        self.results.extend(data_samples)

    def evaluate(self, size: int) -> dict[str, float]:
        """The metrics over the samples of all processes, the same in each.

        Args:
            size: not needed; mmengine would cut the gathered list at it, and processes that hold whole scenes hold
                shares of different length.

        Raises:
            InputError: the samples are not those that should be scored.
        """
        gathered: list[list[Any]] = all_gather_object(self.results)
        samples = [sample for share in gathered for sample in share]
        self.results.clear()
        metrics: list[dict[str, float] | None] = [self.compute_metrics(samples) if is_main_process() else None]
        broadcast_object_list(metrics)
        assert metrics[0] is not None  # the main process has sent it
        return metrics[0]
