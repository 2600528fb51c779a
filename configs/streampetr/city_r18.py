# StreamPETR for the synthetic city, small enough to be tried on a CPU.
_base_ = ["../_base_/datasets/city.py", "../_base_/schedules/streaming_24e.py", "../_base_/runtime.py"]

_range = [-51.2, -51.2, -5.0, 51.2, 51.2, 3.0]
_wide_range = [-61.2, -61.2, -10.0, 61.2, 61.2, 10.0]

model = dict(
    type="MultiViewDetector",
    channels_last=True,
    img_backbone=dict(type="ResNet", depth=18, base_channels=32, out_indices=(2, 3), norm_eval=False),
    img_neck=dict(type="CPFPN", in_channels=[128, 256], out_channels=128),
    img_roi_head=dict(type="FocalHead", num_classes=10, in_channels=128),
    pts_bbox_head=dict(
        type="StreamPETRHead",
        num_classes=10,
        num_query=192,
        pc_range=_range,
        position_range=_wide_range,
        in_channels=128,
        embed_dims=128,
        memory=dict(length=256, topk=64, num_propagated=64),
        # On a CPU this attention is the fastest in training.
        decoder=dict(num_layers=4, num_heads=4, feedforward_channels=512, dropout=0.0, attention="math"),
        bbox_coder=dict(type="NMSFreeCoder", post_center_range=_wide_range, max_num=200),
        denoising=dict(type="StandardDenoising", groups=3),
    ),
)
# Nothing is pretrained: the backbone learns as fast as the rest.
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True))
schedule = dict(epochs=24, reference_lr=3e-4, reference_batch=2, warmup_iterations=200)
