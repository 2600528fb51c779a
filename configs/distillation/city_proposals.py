# On the city: the lighter detector with proposals learns from the trained one ($DECODER_WEIGHTS).
_base_ = "../repdetr3d/city_r18_proposals_light.py"

model = dict(
    _delete_=True,
    type="DistilledDetector",
    student="{{fileDirname}}/../repdetr3d/city_r18_proposals_light.py",
    teacher="{{fileDirname}}/../repdetr3d/city_r18_proposals.py",
    teacher_checkpoint="{{$DECODER_WEIGHTS:work_dirs/city_r18_proposals/iter_3200.pth}}",
    terms=dict(fpn=dict(type="NeckFeatures", loss=dict(type="BalancedKL", weight=0.7))),
)
custom_hooks = [dict(type="DistillationProgressHook")]
