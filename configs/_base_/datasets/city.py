# The synthetic city at 96x256, small enough for a CPU, streamed. The data root is $CITY_ROOT or data/city:
#   tools/make_city.py data/city && tools/create_data.py data/city --version v1.0-city
_root = "{{$CITY_ROOT:data/city}}"
_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
_resize = dict(type="ResizeCropFlipRotate", output_size=(96, 256))
_normalize = dict(type="NormalizeImages", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
_to_network = [_normalize, dict(type="PadImages", divisor=32)]

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(
        type="TemporalFrameDataset",
        dataroot=_root,
        ann_file="nuscenes2d_temporal_infos_city_train.pkl",
        sequence_split=2,
        pipeline=[
            dict(type="LoadImages"),
            dict(type="FilterBoxesByRange", point_cloud_range=_range),
            dict(type="StillWhereUnknown"),
            dict(**_resize, training=True, zoom_range=(0.95, 1.1)),
            *_to_network,
        ],
    ),
    sampler=dict(type="StreamingSampler"),
)
val_dataloader = dict(
    num_workers=1,
    dataset=dict(
        type="TemporalFrameDataset",
        dataroot=_root,
        ann_file="nuscenes2d_temporal_infos_city_val.pkl",
        test_mode=True,
        pipeline=[dict(type="LoadImages"), dict(**_resize, training=False), *_to_network],
    ),
    sampler=dict(type="EvaluationSampler"),
)
val_evaluator = dict(type="NuScenesMetric", dataroot=_root, version="v1.0-city", split="city_val")
