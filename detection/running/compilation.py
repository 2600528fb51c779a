"""A detector's arithmetic compiled for inference; what it remembers and decodes stays ordinary PyTorch.

The parts that are compiled are functions of tensors: image features, queries from memory, what the decoder reads of
the images, the decoder, the predictions. Between them memory pushes copies, so that a CUDA graph, which writes its
results to the same place again and again, never overwrites what a later frame still reads.
"""

from __future__ import annotations

from functools import partial

import torch

from detection.models.detectors.multi_view import MultiViewDetector
from scenes import InputError

_PARTS_OF_THE_HEAD = ("query_tokens", "image_context", "predictions")


def compile_for_inference(model: MultiViewDetector, backend: str = "inductor") -> None:
    """Compile a detector in place; its weights and their names stay as they are.

    The first frames are slow, since each part is compiled when it is first called, and again for a new size of input.
    On a GPU the parts run as CUDA graphs. Call it after the model is on its device and holds its weights, and call the
    model under `torch.no_grad()`: the weights become constants of the compiled code.

    Args:
        model: in evaluation mode.
        backend: of `torch.compile`.

    Raises:
        InputError: a detector of another kind.
    """
    if not isinstance(model, MultiViewDetector):
        raise InputError(f"a {type(model).__name__} cannot be compiled, only a MultiViewDetector")
    on_gpu = next(model.parameters()).is_cuda
    options = {"freezing": True, "triton.cudagraphs": on_gpu} if backend == "inductor" else None
    compiled = partial(torch.compile, dynamic=False, backend=backend, options=options)
    head = model.pts_bbox_head
    parts_of_the_head = () if head is None else tuple((head, name) for name in _PARTS_OF_THE_HEAD)
    for owner, name in ((model, "extract_features"), *parts_of_the_head):
        setattr(owner, name, compiled(getattr(owner, name)))
    if head is not None:
        head.transformer["decoder"].compile(dynamic=False, backend=backend, options=options)
