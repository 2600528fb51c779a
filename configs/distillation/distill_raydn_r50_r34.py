# A RayDN of ResNet-34 learns from one of ResNet-50 that has trained longer, 24 epochs: NDS 53.7, mAP 42.4.
_base_ = "../raydn/raydn_r34_704_bs2_seq_428q_nui_24e.py"

model = dict(
    _delete_=True,
    type="DistilledDetector",
    student="{{fileDirname}}/../raydn/raydn_r34_704_bs2_seq_428q_nui_24e.py",
    teacher="{{fileDirname}}/../raydn/raydn_r50_704_bs2_seq_428q_nui_60e.py",
    teacher_checkpoint="checkpoints/raydn_r50_704_bs2_seq_428q_nui_60e.pth",
    terms=dict(
        fpn=dict(type="NeckFeatures", level_weights=(1.0, 1.0, 1.0, 0.1), loss=dict(type="BalancedKL", weight=0.7)),
    ),
)
custom_hooks = [dict(type="DistillationProgressHook")]
