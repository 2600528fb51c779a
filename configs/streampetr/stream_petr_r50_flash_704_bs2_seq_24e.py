# StreamPETR, ResNet-50, 900 queries, 24 epochs: NDS 47.6, mAP 37.5.
_base_ = [
    "../_base_/models/streampetr_r50.py",
    "../_base_/datasets/nuscenes_704.py",
    "../_base_/schedules/streaming_24e.py",
    "../_base_/runtime.py",
]
