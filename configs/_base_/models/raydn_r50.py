# RepDETR3D with ray denoising: 300 learned and 128 carried queries; the ResNet-50 has learned from nuImages.
_base_ = "./repdetr3d_v299.py"

model = dict(
    img_backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=50,
        out_indices=(1, 2, 3),
        norm_requires_grad=False,
        with_cp=True,
        pretrained="https://download.openmmlab.com/mmdetection3d/v0.1.0_models/nuimages_semseg/"
        "cascade_mask_rcnn_r50_fpn_coco-20e_20e_nuim/"
        "cascade_mask_rcnn_r50_fpn_coco-20e_20e_nuim_20201009_124951-40963960.pth",
    ),
    img_neck=dict(in_channels=[512, 1024, 2048]),
    pts_bbox_head=dict(
        num_query=300,
        memory=dict(length=512, topk=128, num_propagated=128),
        denoising=dict(_delete_=True, type="RayDenoising"),
    ),
)
