# RayDN, ResNet-101 from nuImages, 900 queries, 512x1408, 60 epochs.
_base_ = [
    "../_base_/models/raydn_r50.py",
    "../_base_/datasets/nuscenes_1408.py",
    "../_base_/schedules/streaming_24e.py",
    "../_base_/runtime.py",
]

model = dict(
    img_backbone=dict(
        depth=101,
        pretrained="https://download.openmmlab.com/mmdetection3d/v0.1.0_models/nuimages_semseg/"
        "cascade_mask_rcnn_r101_fpn_1x_nuim/cascade_mask_rcnn_r101_fpn_1x_nuim_20201024_134804-45215b1e.pth",
    ),
    pts_bbox_head=dict(num_query=644, memory=dict(length=1024, topk=256, num_propagated=256)),
)
train_dataloader = dict(batch_size=1)
schedule = dict(epochs=60)
