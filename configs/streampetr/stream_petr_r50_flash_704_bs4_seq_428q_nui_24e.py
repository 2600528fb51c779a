# StreamPETR, ResNet-50 from nuImages, 428 queries, 24 epochs, four streams a process.
_base_ = "./stream_petr_r50_flash_704_bs2_seq_428q_nui_24e.py"

train_dataloader = dict(batch_size=4)
