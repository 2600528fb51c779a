# nuScenes at 512x1408, red, green, blue, streamed: each scene in two parts, one part at a time in each batch slot.
# The data root is $NUSCENES_ROOT or data/nuscenes; `tools/create_data.py` makes its info files.
_root = "{{$NUSCENES_ROOT:data/nuscenes}}"
# The order in which the 2D heads of the published checkpoints number the classes.
_camera_classes = [
    "car",
    "truck",
    "trailer",
    "bus",
    "construction_vehicle",
    "bicycle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "barrier",
]
_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
_resize = dict(type="ResizeCropFlipRotate", output_size=(512, 1408))
_normalize = dict(type="NormalizeImages", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
_to_network = [_normalize, dict(type="PadImages", divisor=32)]
_dataset = dict(type="TemporalFrameDataset", dataroot=_root, camera_classes=_camera_classes)

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    dataset=dict(
        **_dataset,
        ann_file="nuscenes2d_temporal_infos_train.pkl",
        sequence_split=2,
        pipeline=[
            dict(type="LoadImages"),
            dict(type="FilterBoxesByRange", point_cloud_range=_range),
            dict(type="StillWhereUnknown"),
            # Scales of 0.8 to 1.0; 0.88 is what fits 1600x900.
            dict(**_resize, training=True, zoom_range=(0.8 / 0.88, 1.0 / 0.88), flip=True),
            dict(type="RotateScaleFlipLidarFrame", rotation_range_rad=(-0.3925, 0.3925), scale_range=(0.95, 1.05)),
            *_to_network,
        ],
    ),
    sampler=dict(type="StreamingSampler"),
)
val_dataloader = dict(
    num_workers=4,
    dataset=dict(
        **_dataset,
        ann_file="nuscenes2d_temporal_infos_val.pkl",
        test_mode=True,
        pipeline=[dict(type="LoadImages"), dict(**_resize, training=False), *_to_network],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="NuScenesMetric", dataroot=_root, version="v1.0-trainval", split="val")
