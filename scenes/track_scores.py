"""Scores of tracks, from those of all of their boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scenes.geometry import FloatArray
from scenes.results import Results


def mean_track_scores(track: NDArray[np.int64], score: FloatArray) -> FloatArray:
    """(N,) for each box the mean score of its track's.

    Args:
        track: (N,) tracks, numbered from 0 on. score: (N,) of the boxes.
    """
    mean: FloatArray = (np.bincount(track, score) / np.bincount(track))[track]
    return mean


def tracks_from_score(tracks: Results, least: float) -> Results:
    """The tracks whose boxes score `least` or more in the mean, whole.

    Benchmarks that count every track of a file (HOTA) want those alone that are probably true; others (AMOTA, sAMOTA)
    choose by score themselves and want all.
    """
    identities = [np.zeros(0, np.str_) if boxes.track_id is None else boxes.track_id for boxes in tracks.boxes.values()]
    if not identities:
        return tracks
    score = np.concatenate([boxes.score for boxes in tracks.boxes.values()])
    good = mean_track_scores(np.unique(np.concatenate(identities), return_inverse=True)[1], score) >= least
    of_frames = np.split(good, np.cumsum([len(identity) for identity in identities])[:-1])
    kept = {
        token: boxes.select(np.flatnonzero(chosen))
        for (token, boxes), chosen in zip(tracks.boxes.items(), of_frames, strict=True)
    }
    return replace(tracks, boxes=kept)
