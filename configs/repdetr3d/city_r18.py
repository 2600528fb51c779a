# RepDETR3D for the synthetic city, small enough to be trained on one core of a CPU: the network that ships.
_base_ = ["../_base_/datasets/city.py", "../_base_/schedules/streaming_24e.py", "../_base_/runtime.py"]

_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
_wide_range = [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0]

model = dict(
    type="MultiViewDetector",
    channels_last=True,
    # The images are so small that the network looks at strides 8 and 16 instead of 8 to 64.
    img_backbone=dict(
        type="ResNet", depth=18, base_channels=32, strides=(1, 2, 2), out_indices=(1, 2), norm_eval=False
    ),
    img_neck=dict(type="FPN", in_channels=[64, 128], out_channels=128, num_outs=2),
    img_roi_head=dict(type="FocalHead", num_classes=10, in_channels=128, stride_px=8),
    pts_bbox_head=dict(
        type="RepDETR3DHead",
        num_classes=10,
        num_query=160,
        pc_range=_range,
        embed_dims=128,
        memory=dict(length=128, topk=48, num_propagated=48),
        # The attention and the sampling that are fastest on a CPU.
        decoder=dict(
            num_layers=3,
            num_heads=4,
            num_levels=2,
            num_points=7,
            feedforward_channels=512,
            dropout=0.0,
            attention="math",
            sampling="in_view",
        ),
        bbox_coder=dict(type="NMSFreeCoder", post_center_range=_wide_range, max_num=200),
        denoising=dict(type="StandardDenoising", groups=3),
    ),
)
# Nothing is pretrained: the backbone learns as fast as the rest.
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
schedule = dict(epochs=10, reference_lr=6e-4, reference_batch=4, warmup_iterations=300, validation_epochs=2)
