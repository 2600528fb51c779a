"""The smallest 2D training, for tests: a very narrow Dy-YOLOv7 on a few drawn images below $IMAGES_ROOT."""

_base_ = ["../../configs/_base_/runtime.py"]

_root = "{{$IMAGES_ROOT:}}"
_size = (64, 96)
_dataset = dict(type="CocoDataset", dataroot=_root, ann_file="instances.json", image_dir="")

model = dict(
    type="DynamicYoloDetector",
    variant="dy-yolov7",
    width=0.03,
    anchor_scale=0.3,
    num_classes=2,
    loss=dict(type="YoloLoss", reference_batch=1),
    threshold=1.0,
)
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    dataset=dict(
        **_dataset,
        pipeline=[
            dict(type="Letterbox", size=_size),
            dict(type="RandomAffine", size=_size, scale_range=(0.9, 1.1), translate=0.1),
            dict(type="RandomHorizontalFlip"),
        ],
    ),
    sampler=dict(type="ShuffledSampler"),
)
val_dataloader = dict(
    batch_size=3,
    num_workers=0,
    dataset=dict(**_dataset, test_mode=True, pipeline=[dict(type="Letterbox", size=_size)]),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="CocoMetric", ann_file=f"{_root}/instances.json")
schedule = dict(epochs=1, reference_lr=1e-2, reference_batch=2, warmup_iterations=0)
optim_wrapper = dict(
    optimizer=dict(type="SGD", momentum=0.9, nesterov=True, weight_decay=5e-4),
    paramwise_cfg=dict(flat_decay_mult=0.0),
    clip_grad=dict(max_norm=float("inf")),
)
custom_hooks = [dict(type="WeightAverageHook", decay=0.5, ramp_iterations=2)]
log_interval = 1
tensorboard = False
