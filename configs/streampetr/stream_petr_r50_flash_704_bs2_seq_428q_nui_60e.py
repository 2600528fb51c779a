# StreamPETR, ResNet-50 from nuImages, 428 queries, 60 epochs: NDS 54.6, mAP 44.9.
_base_ = "./stream_petr_r50_flash_704_bs2_seq_428q_nui_24e.py"

schedule = dict(epochs=60)
