"""DynamicDet: two detectors in a cascade, and a router that sends easy inputs out after the first.

What does not depend on the kind of detector is here: the router, its loss, thresholds, the fusion of two backbones.
Everything is our own; the published code is free for academic use only and served for recorded numbers.

Source: Lin et al., DynamicDet: A Unified Dynamic Architecture for Object Detection, CVPR 2023.
"""

from detection.models.routing.adaptive_offset import AdaptiveOffset, router_losses, routing_losses
from detection.models.routing.budget import HardBudget
from detection.models.routing.fusion import BackboneFusion, SplitConvolution, sum_resized
from detection.models.routing.router import Router, Routing, fixed_routing, takes_easy_path
from detection.models.routing.thresholds import HARD_SHARES, percentile_thresholds

__all__ = [
    "HARD_SHARES",
    "AdaptiveOffset",
    "BackboneFusion",
    "HardBudget",
    "Router",
    "Routing",
    "SplitConvolution",
    "fixed_routing",
    "percentile_thresholds",
    "router_losses",
    "routing_losses",
    "sum_resized",
    "takes_easy_path",
]
