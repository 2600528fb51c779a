# StreamPETR with 300 learned and 128 carried queries; the backbone has learned from nuImages.
_base_ = "./streampetr_r50.py"

model = dict(
    img_backbone=dict(
        pretrained="https://download.openmmlab.com/mmdetection3d/v0.1.0_models/nuimages_semseg/"
        "cascade_mask_rcnn_r50_fpn_coco-20e_20e_nuim/"
        "cascade_mask_rcnn_r50_fpn_coco-20e_20e_nuim_20201009_124951-40963960.pth",
    ),
    pts_bbox_head=dict(num_query=300, memory=dict(length=512, topk=128, num_propagated=128)),
)
