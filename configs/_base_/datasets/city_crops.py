# The synthetic city at full size: training sees crops of single cameras, validation whole frames. The data root is
# $CITY_ROOT or data/city:
#   tools/make_city.py data/city && tools/create_data.py data/city --version v1.0-city
_root = "{{$CITY_ROOT:data/city}}"
_normalize = dict(type="NormalizeImages", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    dataset=dict(
        type="CameraCropDataset",
        dataroot=_root,
        ann_file="nuscenes2d_temporal_infos_city_train.pkl",
        pipeline=[
            dict(type="LoadImages"),
            dict(type="CropAroundHorizon", output_size=(192, 384), scale_range=(0.85, 1.2)),
            dict(type="MirrorWorld"),
            _normalize,
        ],
    ),
    sampler=dict(type="ShuffledSampler"),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type="TemporalFrameDataset",
        dataroot=_root,
        ann_file="nuscenes2d_temporal_infos_city_val.pkl",
        test_mode=True,
        pipeline=[
            dict(type="LoadImages"),
            dict(type="ResizeCropFlipRotate", output_size=(288, 704), training=False),
            _normalize,
            dict(type="PadImages", divisor=32),
        ],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="NuScenesMetric", dataroot=_root, version="v1.0-city", split="city_val")
