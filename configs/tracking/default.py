# Any detector's boxes, with or without query identities. The settings are the defaults of `tracking.TrackerConfig`.
tracker = dict()
