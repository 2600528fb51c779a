"""Tracks of several files that are one object."""

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from tracking.joining import joined_tracks


def test_what_one_tracker_tore_apart_the_other_holds_together() -> None:
    frames = [[[(0, "a"), (1, "x")]], [[(0, "a"), (1, "x")]], [[(1, "x")]], [[(0, "b"), (1, "x")]]]
    assert joined_tracks(frames) == {(0, "a"): 0, (1, "x"): 0, (0, "b"): 0}


def test_tracks_that_meet_now_and_then_stay_apart() -> None:
    together, apart = [[(0, "a"), (1, "x")]], [[(0, "a")], [(1, "x")]]
    assert joined_tracks([together, apart, apart]) == {(0, "a"): 0, (1, "x"): 1}
    assert joined_tracks([together, apart, together]) == {(0, "a"): 0, (1, "x"): 0}


def test_the_longer_agreement_wins_where_two_tracks_of_a_file_want_one() -> None:
    frames = [[[(0, "a"), (1, "x")], [(0, "b")]], *[[[(0, "b"), (1, "x")], [(0, "a")]]] * 3]
    joined = joined_tracks(frames)
    assert joined[0, "b"] == joined[1, "x"] != joined[0, "a"]


@settings(max_examples=100)
@given(data=st.data(), n_files=st.integers(1, 4), n_frames=st.integers(1, 6))
def test_no_file_has_two_of_a_joined_tracks_boxes_in_a_frame(data, n_files: int, n_frames: int) -> None:
    frames = []
    for _ in range(n_frames):
        objects: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for file in range(n_files):
            names = data.draw(st.lists(st.sampled_from("abcd"), unique=True))
            places = data.draw(st.permutations(range(4)))
            for name, place in zip(names, places, strict=False):
                objects[place].append((file, name))
        frames.append(list(objects.values()))
    joined = joined_tracks(frames)
    assert set(joined) == {track for objects in frames for tracks in objects for track in tracks}
    assert sorted(set(joined.values())) == list(range(len(set(joined.values()))))
    for objects in frames:
        present = [(track[0], joined[track]) for tracks in objects for track in tracks]
        assert len(set(present)) == len(present)
