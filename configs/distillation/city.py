# On the city: the lighter RepDETR3D learns from the one that ships.
_base_ = "../repdetr3d/city_r18_light.py"

model = dict(
    _delete_=True,
    type="DistilledDetector",
    student="{{fileDirname}}/../repdetr3d/city_r18_light.py",
    teacher="{{fileDirname}}/../repdetr3d/city_r18.py",
    teacher_checkpoint="{{fileDirname}}/../../detection/weights/repdetr3d_city_r18.safetensors",
    terms=dict(fpn=dict(type="NeckFeatures", loss=dict(type="BalancedKL", weight=0.7))),
)
custom_hooks = [dict(type="DistillationProgressHook")]
