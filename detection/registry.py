"""StreamTrack's branch of mmengine's registries: `type='StreamPETRHead'` in a config finds the class here.

The scope is `streamtrack`, so that a project with registries of its own (mmdet, mmdet3d) can name the classes as
`streamtrack.StreamPETRHead`, and a config here can name theirs (`mmdet.ResNet`).
"""

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import Registry

SCOPE = "streamtrack"

MODELS = Registry(
    "model", parent=MMENGINE_MODELS, scope=SCOPE, locations=["detection.models", "detection.distillation"]
)
DATASETS = Registry(
    "dataset",
    parent=MMENGINE_DATASETS,
    scope=SCOPE,
    locations=["detection.data.dataset", "detection.data.camera_crops", "detection.images2d.dataset"],
)
DATA_SAMPLERS = Registry(
    "data sampler", parent=MMENGINE_DATA_SAMPLERS, scope=SCOPE, locations=["detection.data.sampler"]
)
TRANSFORMS = Registry(
    "transform",
    parent=MMENGINE_TRANSFORMS,
    scope=SCOPE,
    locations=["detection.data.transforms", "detection.images2d.transforms"],
)
METRICS = Registry(
    "metric",
    parent=MMENGINE_METRICS,
    scope=SCOPE,
    locations=["detection.metrics.scene_metric", "detection.metrics.image_metric"],
)
HOOKS = Registry("hook", parent=MMENGINE_HOOKS, scope=SCOPE, locations=["detection.training", "detection.distillation"])
