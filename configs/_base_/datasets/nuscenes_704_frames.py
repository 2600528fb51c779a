# nuScenes at 256x704, single frames in a new order each epoch, for networks without a memory.
_base_ = "./nuscenes_704.py"

train_dataloader = dict(dataset=dict(sequence_split=1), sampler=dict(type="ShuffledSampler"))
