# A lighter RepDETR3D for the city: half the width, one decoder layer less. The student of `distillation/city.py` and
# the first detector of `dynamic/city_step1.py`. Its head begins with the first layers of the network that ships.
_base_ = "./city_r18.py"

model = dict(
    img_backbone=dict(base_channels=16),
    img_neck=dict(in_channels=[32, 64]),
    pts_bbox_head=dict(decoder=dict(num_layers=2)),
    pretrained=dict(pts_bbox_head="{{fileDirname}}/../../detection/weights/repdetr3d_city_r18.safetensors"),
)
schedule = dict(epochs=4)
