# PETR v1 with the 3D position features, denoising and spatial alignment of StreamPETR: NDS 34.9, mAP 30.9.
_base_ = [
    "../_base_/models/petr_r50.py",
    "../_base_/datasets/nuscenes_704_frames.py",
    "../_base_/schedules/streaming_24e.py",
    "../_base_/runtime.py",
]
