# RepDETR3D whose queries begin at what a perspective head finds in the images: perspective/city_perspective first, then
# this, with $PERSPECTIVE_WEIGHTS the weights of the first. The backbone, the neck and the perspective head keep them: a
# step then costs a CPU a fifth of what it costs where they learn too. The decoder begins from nothing. Streamed:
# velocity, and depth from several frames, are what a single image cannot give.
_base_ = ["../perspective/city_perspective.py"]

_root = "{{$CITY_ROOT:data/city}}"
_trained = "{{$PERSPECTIVE_WEIGHTS:{{fileDirname}}/../../detection/weights/perspective_city_r18.safetensors}}"
_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
_wide_range = [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0]
_normalize = dict(type="NormalizeImages", mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)

model = dict(
    pts_bbox_head=dict(
        type="RepDETR3DHead",
        num_classes=10,
        num_query=60,
        proposals=dict(count=100, in_channels=274),
        pc_range=_range,
        embed_dims=64,
        memory=dict(length=128, topk=64, num_propagated=64),
        decoder=dict(
            num_layers=3,
            num_heads=4,
            num_levels=4,
            num_points=7,
            feedforward_channels=256,
            dropout=0.0,
            attention="math",
            sampling="in_view",
        ),
        bbox_coder=dict(type="NMSFreeCoder", post_center_range=_wide_range, max_num=200),
        denoising=dict(type="StandardDenoising", groups=3),
    ),
    pretrained=dict(img_backbone=_trained, img_neck=_trained, img_roi_head=_trained),
    frozen=["img_backbone", "img_neck", "img_roi_head"],
)
train_dataloader = dict(
    _delete_=True,
    batch_size=2,
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
            dict(type="ResizeCropFlipRotate", output_size=(288, 704), training=True, zoom_range=(0.95, 1.1)),
            _normalize,
            dict(type="PadImages", divisor=32),
        ],
    ),
    sampler=dict(type="StreamingSampler"),
)
schedule = dict(epochs=4, reference_lr=6e-4, reference_batch=2, warmup_iterations=300)
