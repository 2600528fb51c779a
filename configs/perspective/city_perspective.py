# A detector of single images for the synthetic city: a heat map and a box at each of its peaks, no queries, no memory.
# The backbone and the neck are those that a decoder is trained on afterwards.
_base_ = ["../_base_/datasets/city_crops.py", "../_base_/schedules/streaming_24e.py", "../_base_/runtime.py"]

model = dict(
    type="MultiViewDetector",
    channels_last=True,
    img_backbone=dict(type="ResNet", depth=18, base_channels=48, norm_eval=False),
    img_neck=dict(type="FPN", in_channels=[48, 96, 192, 384], out_channels=64, num_outs=4),
    img_roi_head=dict(
        type="PerspectiveHead",
        num_classes=10,
        in_channels=64,
        strides_px=(4, 8, 16, 32),
        ground_m=-1.84,
        # Means of nuScenes' annotations, rounded, in the order of the classes: length, width, height.
        mean_sizes_m=[
            (4.6, 1.95, 1.7),  # car
            (6.9, 2.5, 2.8),  # truck
            (6.4, 2.8, 3.2),  # construction_vehicle
            (11.0, 2.9, 3.5),  # bus
            (12.0, 2.9, 3.9),  # trailer
            (0.5, 2.5, 1.0),  # barrier
            (2.1, 0.8, 1.5),  # motorcycle
            (1.7, 0.6, 1.3),  # bicycle
            (0.73, 0.67, 1.75),  # pedestrian
            (0.4, 0.4, 1.05),  # traffic_cone
        ],
        merge_radii_m=(2.0, 2.5, 2.5, 4.0, 4.0, 0.8, 0.8, 0.8, 0.5, 0.4),
        weights=dict(yaw_bin=1.0),
    ),
)
optim_wrapper = dict(paramwise_cfg=dict(_delete_=True), clip_grad=dict(max_norm=35))
# Goes on from city_perspective_half (load_from).
schedule = dict(
    epochs=1,
    reference_lr=1e-3,
    reference_batch=8,
    warmup_iterations=100,
    min_lr_ratio=0.01,
    validation_epochs=1,
    checkpoint_epochs=0.1,
)
custom_hooks = [dict(type="WeightAverageHook", decay=0.998, ramp_iterations=500)]
