# StreamPETR, ResNet-50, 900 queries, 90 epochs: NDS 53.7, mAP 43.2.
_base_ = "./stream_petr_r50_flash_704_bs2_seq_24e.py"

schedule = dict(epochs=90)
