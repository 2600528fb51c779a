# RepDETR3D, V2-99, 900 queries, 320x800, 24 epochs: NDS 58.4, mAP 50.1.
_base_ = [
    "../_base_/models/repdetr3d_v299.py",
    "../_base_/datasets/nuscenes_800_bgr.py",
    "../_base_/schedules/streaming_24e.py",
    "../_base_/runtime.py",
]
