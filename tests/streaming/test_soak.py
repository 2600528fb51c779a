"""The soak for 24 s: every fault is named, no identity is lost, through a restart too."""

from streaming.soak.faults import FAULTS
from streaming.soak.run import soak


def test_every_fault_is_named_and_no_identity_lost() -> None:
    report = soak(0.4, restarts=1, seed=1, every_step=True, quiet=8)
    assert set(report.injected) == {kind.name for kind in FAULTS} - {"slow detector"}
    assert not report.unnamed
    assert report.lost == 0
    assert report.identities > 30
    # What is exactly one thing is said exactly once for each.
    for kind in ("broken image", "camera lost", "camera back", "clock jump", "silence"):
        assert report.counted[kind] == report.expected[kind], kind
    assert not report.dropped
    assert report.published > 0.85 * report.steps
