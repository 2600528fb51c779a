# StreamPETR and other detectors whose queries live on from frame to frame and name their boxes (`query_id`).
tracker = dict(use_identity=True)
