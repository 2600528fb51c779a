"""What all backbones share: frozen stages, frozen batch normalisation and published weights to begin with."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from detection.checkpoints import load_part


class Backbone(BaseModule):  # type: ignore[misc]  # mmengine is untyped
    """Images to feature maps of falling resolution.

    Args:
        frozen_stages: the stem and this many stages keep their weights and running statistics; -1 freezes nothing.
        norm_eval: batch normalisation uses its running statistics in training too.
        norm_requires_grad: whether scale and shift of batch normalisation are trained.
        with_cp: recompute activations in the backward pass to save memory.
        pretrained: checkpoint whose weights of a backbone `init_weights` loads, wherever they lie in it.
    """

    def __init__(
        self,
        frozen_stages: int = -1,
        norm_eval: bool = True,
        norm_requires_grad: bool = True,
        with_cp: bool = False,
        pretrained: str | None = None,
    ) -> None:
        super().__init__()
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.norm_requires_grad = norm_requires_grad
        self.with_cp = with_cp
        self.pretrained = pretrained

    @abstractmethod
    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Feature maps (B, C_i, H_i, W_i) of images (B, 3, H, W)."""

    @abstractmethod
    def stem_and_stages(self) -> Sequence[Sequence[nn.Module]]:
        """Modules in the order in which `frozen_stages` freezes them: those of the stem, then those of each stage."""

    def freeze(self) -> None:
        """Take the gradients from what the settings freeze; subclasses call it when their modules are there."""
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.requires_grad_(self.norm_requires_grad)
        for module in self._frozen_modules():
            module.requires_grad_(False)

    @abstractmethod
    def init_random_weights(self) -> None:
        """Draw the weights that training from nothing begins with."""

    def init_weights(self) -> None:
        """Load the `pretrained` checkpoint, or draw random weights where none is named."""
        if self.pretrained:
            load_part(self, self.pretrained)
        else:
            self.init_random_weights()

    def train(self, mode: bool = True) -> Backbone:
        """Switch between training and evaluation; frozen modules and frozen norms stay in evaluation."""
        super().train(mode)
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        for module in self._frozen_modules():
            module.eval()
        return self

    def _run(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """Apply a block, with recomputation in the backward pass where the settings ask for it."""
        if self.with_cp and self.training:
            output: Tensor = checkpoint(module, inputs, use_reentrant=False)
        else:
            output = module(inputs)
        return output

    def _frozen_modules(self) -> list[nn.Module]:
        return [module for part in self.stem_and_stages()[: self.frozen_stages + 1] for module in part]
