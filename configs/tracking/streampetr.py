# StreamPETR and other detectors whose queries live on from frame to frame and name their boxes (`query_id`). The
# default's identity settings were chosen on such boxes; trusting queries further brought no fewer switches.
tracker = dict(use_identity=True)
