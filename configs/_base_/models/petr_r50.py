# PETR with ResNet-50: 900 learned queries, single frames.
model = dict(
    type="MultiViewDetector",
    img_backbone=dict(
        type="ResNet",
        depth=50,
        out_indices=(2, 3),
        norm_requires_grad=False,
        with_cp=True,
        pretrained="https://download.pytorch.org/models/resnet50-0676ba61.pth",
    ),
    img_neck=dict(type="CPFPN", in_channels=[1024, 2048], out_channels=256),
    pts_bbox_head=dict(
        type="PETRHead",
        num_classes=10,
        num_query=900,
        pc_range=[-51.2, -51.2, -5.0, 51.2, 51.2, 3.0],
        position_range=[-61.2, -61.2, -10.0, 61.2, 61.2, 10.0],
        decoder=dict(num_layers=6, with_cp=True),
        bbox_coder=dict(type="NMSFreeCoder", post_center_range=[-61.2, -61.2, -10.0, 61.2, 61.2, 10.0], max_num=300),
        denoising=dict(type="StandardDenoising", groups=10, noise_scale=1.0, split=0.75),
        code_weights=[2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.2, 0.2],
    ),
    grid_mask=dict(prob=0.7, ratio=0.5),
)
