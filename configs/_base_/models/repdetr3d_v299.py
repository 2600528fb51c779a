# RepDETR3D with V2-99: queries sample four levels of a feature pyramid; a YOLOX head in training.
model = dict(
    type="MultiViewDetector",
    img_backbone=dict(
        type="VoVNet",
        depth=99,
        out_indices=(1, 2, 3),
        with_cp=True,
        pretrained="https://github.com/exiawsh/storage/releases/download/v1.0/fcos3d_vovnet_imgbackbone-remapped.pth",
    ),
    img_neck=dict(type="FPN", in_channels=[512, 768, 1024], out_channels=256, num_outs=4, relu_before_extra_convs=True),
    img_roi_head=dict(type="YOLOXHead", num_classes=10, strides_px=(8, 16, 32, 64)),
    pts_bbox_head=dict(
        type="RepDETR3DHead",
        num_classes=10,
        num_query=644,
        memory=dict(length=1024, topk=256, num_propagated=256),
        pc_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0],
        decoder=dict(num_layers=6, num_levels=4, num_points=13, with_cp=True),
        bbox_coder=dict(type="NMSFreeCoder", post_center_range=[-61.2, -61.2, -10.0, 61.2, 61.2, 10.0], max_num=300),
        denoising=dict(type="StandardDenoising", groups=10, noise_scale=1.0, split=0.75),
    ),
    grid_mask=dict(prob=0.7, ratio=0.5),
)
