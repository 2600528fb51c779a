# A StreamPETR of ResNet-50 learns from one that has trained longer, 24 epochs: NDS 53.1, mAP 43.9.
_base_ = "../streampetr/stream_petr_r50_flash_704_bs2_seq_428q_nui_24e.py"

model = dict(
    _delete_=True,
    type="DistilledDetector",
    student="{{fileDirname}}/../streampetr/stream_petr_r50_flash_704_bs2_seq_428q_nui_24e.py",
    teacher="{{fileDirname}}/../streampetr/stream_petr_r50_flash_704_bs2_seq_428q_nui_60e.py",
    teacher_checkpoint="checkpoints/stream_petr_r50_flash_704_bs2_seq_428q_nui_60e.pth",
    terms=dict(fpn=dict(type="NeckFeatures", loss=dict(type="BalancedKL", weight=0.7))),
)
custom_hooks = [dict(type="DistillationProgressHook")]
