"""Which tracks of a result file are good enough, by the scores of all of their boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scenes.results import Results


def tracks_from_score(tracks: Results, least: float) -> Results:
    """The tracks whose boxes score `least` or more in the mean, whole.

    Benchmarks that count every track of a file (HOTA) want those alone that are probably true; others (AMOTA, sAMOTA)
    choose by score themselves and want all.
    """
    identities = [np.zeros(0, np.str_) if boxes.track_id is None else boxes.track_id for boxes in tracks.boxes.values()]
    if not identities:
        return tracks
    score = np.concatenate([boxes.score for boxes in tracks.boxes.values()])
    names, number = np.unique(np.concatenate(identities), return_inverse=True)
    good = names[np.bincount(number, score, len(names)) >= least * np.bincount(number, minlength=len(names))]
    kept = {
        token: boxes.select(np.flatnonzero(np.isin(identity, good)))
        for (token, boxes), identity in zip(tracks.boxes.items(), identities, strict=True)
    }
    return replace(tracks, boxes=kept)
