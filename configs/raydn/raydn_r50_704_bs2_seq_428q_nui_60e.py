# RayDN, ResNet-50 from nuImages, 428 queries, 256x704, 60 epochs: NDS 56.1, mAP 47.1.
_base_ = "./raydn_r50_704_bs2_seq_428q_nui_24e.py"

schedule = dict(epochs=60)
