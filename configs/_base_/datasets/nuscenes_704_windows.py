# nuScenes at 256x704 in windows of 8 out of 9 frames in a row, each window with a memory of its own.
_base_ = "./nuscenes_704.py"

train_dataloader = dict(
    batch_size=1,
    dataset=dict(sequence_split=1, num_frames=8, num_skipped=1),
    sampler=dict(type="ShuffledSampler"),
)
