# StreamPETR, ResNet-50, 900 queries, trained on windows of 8 frames, the last 2 with gradients and losses.
_base_ = [
    "../_base_/models/streampetr_r50.py",
    "../_base_/datasets/nuscenes_704_windows.py",
    "../_base_/schedules/streaming_24e.py",
    "../_base_/runtime.py",
]

model = dict(
    num_frame_losses=2,
    num_frame_head_grads=2,
    num_frame_backbone_grads=2,
    pts_bbox_head=dict(decoder=dict(with_cp=False)),
)
