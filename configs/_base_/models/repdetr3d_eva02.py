# RepDETR3D with EVA02-L, whose own pyramid makes the four levels.
_base_ = "./repdetr3d_v299.py"

model = dict(
    img_backbone=dict(
        _delete_=True,
        type="EVA02",
        drop_path_rate=0.3,
        with_cp=True,
        pretrained="https://github.com/exiawsh/storage/releases/download/v1.0/eva02_L_coco_det_sys_o365_remapped.pth",
    ),
    img_neck=None,
    img_roi_head=dict(strides_px=(4, 8, 16, 32)),
)
