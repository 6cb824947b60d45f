"""How labels are hidden decides what a semi-supervised result means."""

import numpy as np
import pytest

from sskeras.data.labels import check_labels, hide_labels


def test_share_is_kept_per_class_and_floored():
    y = np.repeat([0, 1, 2], [6195, 6708, 75])  # Table I of the paper
    for share, expected in {
        0.05: [309, 335, 3],
        0.07: [433, 469, 5],
        0.09: [557, 603, 6],
    }.items():
        kept = hide_labels(y, share)
        assert kept.dtype == np.int32
        assert np.bincount(kept[kept >= 0]).tolist() == expected


@pytest.mark.parametrize(
    ("share", "n", "expected"),
    [(0.29, 100, 29), (0.57, 100, 57), (0.07, 100, 7), (0.05, 19, 0), (1.0, 7, 7)],
)
def test_floor_is_not_fooled_by_floating_point(share, n, expected):
    assert (hide_labels(np.zeros(n, int), share) >= 0).sum() == expected


@pytest.mark.parametrize("seed", [0, 1, 12345])
def test_shares_are_nested(seed):
    y = np.random.default_rng(seed).integers(0, 3, 1000)
    smaller = hide_labels(y, 0.01, seed)
    for share in (0.05, 0.07, 0.09, 0.5, 1.0):
        larger = hide_labels(y, share, seed)
        visible = smaller >= 0
        np.testing.assert_array_equal(larger[visible], y[visible])
        assert (larger >= 0).sum() > visible.sum()
        smaller = larger
    np.testing.assert_array_equal(larger, y)


def test_seed_decides_which_are_kept():
    y = np.random.default_rng(0).integers(0, 3, 300)
    np.random.seed(1)
    first = hide_labels(y, 0.1, seed=0)
    np.random.seed(2)
    np.testing.assert_array_equal(hide_labels(y, 0.1, seed=0), first)
    assert (hide_labels(y, 0.1, seed=1) != first).any()


def test_choice_is_the_same_on_every_machine():
    kept = hide_labels(np.repeat([0, 1], 20), 0.2, seed=3)
    assert np.flatnonzero(kept >= 0).tolist() == [1, 9, 11, 15, 29, 35, 37, 39]


def test_a_class_does_not_depend_on_the_others():
    y = np.repeat([0, 1], 50)
    more = np.concatenate([y, np.full(30, 2)])
    np.testing.assert_array_equal(hide_labels(more, 0.2)[:100], hide_labels(y, 0.2))


def test_unknown_labels_stay_unknown_and_are_not_counted():
    y = np.repeat([-1, 0], [100, 20])
    kept = hide_labels(y, 0.5)
    assert (kept[:100] == -1).all() and (kept[100:] == 0).sum() == 10


def test_input_is_not_changed():
    y = np.zeros(10, "int32")
    hide_labels(y, 0.5)
    assert not y.any()


@pytest.mark.parametrize("share", [0, -0.1, 1.01, 5, float("nan")])
def test_share_outside_0_to_1(share):
    with pytest.raises(ValueError, match="share"):
        hide_labels([0, 1], share)


@pytest.mark.parametrize("y", [[0.0, 1.0], [[0, 1]], ["a"]])
def test_labels_must_be_integers(y):
    with pytest.raises(ValueError, match="integers"):
        hide_labels(y, 0.5)


def test_check_labels_names_every_empty_class():
    with pytest.warns(UserWarning, match="No labeled image of b, d:"):
        check_labels([0, 2, -1], ("a", "b", "c", "d"))


def test_check_labels_is_quiet_when_all_is_well(recwarn):
    check_labels([0, 1, -1], ("a", "b"))
    assert not recwarn.list


@pytest.mark.parametrize(
    ("y", "message"),
    [([-1, -1], "None of the 2"), ([0, 2], r"y\[1\] = 2"), ([-2, 0], r"y\[0\] = -2")],
)
def test_check_labels_refuses(y, message):
    with pytest.raises(ValueError, match=message):
        check_labels(y, ("a", "b"))
