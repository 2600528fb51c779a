# StreamPETR and other detectors whose queries live on from frame to frame and name their boxes (`query_id`). Their
# identities are trusted further than the default trusts those of a detector that it does not know.
tracker = dict(use_identity=True, identity_gate_scale=0.75, identity_bonus=2.0)
