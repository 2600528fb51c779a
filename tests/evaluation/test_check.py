"""`first_difference` names what differs."""

import math

from evaluation import Evaluation
from evaluation.check import first_difference


def _evaluation(tp: list[float], **summary: object) -> Evaluation:
    return Evaluation("tracking", {"amota": 0.5, "eval_time": 1.0, **summary}, {"car": {"tp": tp}})


def test_equal_evaluations_have_no_difference() -> None:
    ours, theirs = _evaluation([1.0, math.nan]), _evaluation([1.0 + 1e-10, math.nan], eval_time=9.0, meta={"a": 1})
    assert first_difference(ours, theirs) is None


def test_first_difference_is_named() -> None:
    difference = first_difference(_evaluation([1.0, 2.0]), _evaluation([1.0, 2.5]))
    assert difference == "details.car.tp[1]: 2.0 against 2.5"


def test_nan_differs_from_a_number() -> None:
    assert first_difference(_evaluation([math.nan]), _evaluation([0.0])) == "details.car.tp[0]: nan against 0.0"


def test_lists_of_different_length_differ() -> None:
    difference = first_difference(_evaluation([1.0]), _evaluation([1.0, 2.0]))
    assert difference == "details.car.tp: [1.0] against [1.0, 2.0]"


def test_missing_and_additional_keys_differ() -> None:
    assert first_difference(_evaluation([1.0], extra=1), _evaluation([1.0])) == "summary.extra: only in ours"
    assert first_difference(_evaluation([1.0]), _evaluation([1.0], extra=1)) == "summary.extra: only in the other"
