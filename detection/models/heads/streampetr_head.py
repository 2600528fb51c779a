"""StreamPETR: PETR whose best queries live on in the next frame."""

from __future__ import annotations

from typing import Any

from detection.models.heads.petr_head import PETRHead
from detection.registry import MODELS


@MODELS.register_module()
class StreamPETRHead(PETRHead):
    """A `PETRHead` with a memory.

    Source: Wang et al., StreamPETR, 2023.
    """

    def __init__(self, *, memory: dict[str, Any], **settings: Any) -> None:
        """A head.

        Args:
            memory: `length`, `topk` and `num_propagated` of the `TemporalMemory`.
            settings: of a `PETRHead`.
        """
        super().__init__(memory=memory, **settings)
