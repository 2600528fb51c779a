"""The smallest streaming detector that still has every part; a few iterations on a small city take a second.

The data root comes from the environment variable CITY_ROOT.
"""

_base_ = ["../../configs/_base_/runtime.py", "../../configs/_base_/schedules/streaming_24e.py"]

_root = "{{$CITY_ROOT:data/city}}"
_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
_wide_range = [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0]
_resize = dict(type="ResizeCropFlipRotate", output_size=(64, 176))
_normalize = dict(type="NormalizeImages", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)

model = dict(
    type="MultiViewDetector",
    img_backbone=dict(type="ResNet", depth=18, base_channels=16, out_indices=(2, 3)),
    img_neck=dict(type="CPFPN", in_channels=[64, 128], out_channels=32),
    pts_bbox_head=dict(
        type="StreamPETRHead",
        num_classes=10,
        num_query=40,
        pc_range=_range,
        position_range=_wide_range,
        in_channels=32,
        embed_dims=32,
        memory=dict(length=40, topk=20, num_propagated=20),
        decoder=dict(num_layers=2, num_heads=4, feedforward_channels=64),
        bbox_coder=dict(type="NMSFreeCoder", post_center_range=_wide_range, max_num=50),
        denoising=dict(type="StandardDenoising", groups=2),
    ),
)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        type="TemporalFrameDataset",
        dataroot=_root,
        ann_file="nuscenes2d_temporal_infos_city_train.pkl",
        sequence_split=2,
        pipeline=[
            dict(type="LoadImages"),
            dict(**_resize, training=True, flip=True),
            dict(type="FilterBoxesByRange", point_cloud_range=_range),
            dict(type="RotateScaleFlipLidarFrame"),
            _normalize,
        ],
    ),
    sampler=dict(type="StreamingSampler"),
)
val_dataloader = dict(
    dataset=dict(
        type="TemporalFrameDataset",
        dataroot=_root,
        ann_file="nuscenes2d_temporal_infos_city_val.pkl",
        test_mode=True,
        pipeline=[dict(type="LoadImages"), dict(**_resize, training=False), _normalize],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="NuScenesMetric", dataroot=_root, version="v1.0-city", split="city_val")
schedule = dict(epochs=1)
log_interval = 1
