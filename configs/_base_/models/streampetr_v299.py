# StreamPETR with V2-99, which has learned from FCOS3D and takes images as blue, green, red.
_base_ = "./streampetr_r50.py"

model = dict(
    img_backbone=dict(
        _delete_=True,
        type="VoVNet",
        depth=99,
        out_indices=(2, 3),
        with_cp=True,
        pretrained="https://github.com/exiawsh/storage/releases/download/v1.0/fcos3d_vovnet_imgbackbone-remapped.pth",
    ),
    img_neck=dict(in_channels=[768, 1024]),
)
