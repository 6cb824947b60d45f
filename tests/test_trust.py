"""Calibration, operating points and sets against loops, scikit-learn and simulation."""

import json
import sys

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, roc_curve

from sskeras import evaluate
from sskeras.evaluate.control import frame_mask

NAMES = ["normal", "pneumonia", "covid-19"]


@pytest.fixture
def rows():
    """True classes, well-calibrated probabilities, weights and patients."""
    rng = np.random.default_rng(0)
    p = softmax(2 * rng.normal(size=(3000, 3)) + [1, 1, 0], axis=1)
    y = np.array([rng.choice(3, p=one) for one in p])
    return y, p, rng.uniform(0.5, 2, 3000), rng.integers(0, 900, 3000).astype(str)


def distorted(p, temperature):
    return softmax(np.log(p) / temperature, axis=1)


@pytest.mark.parametrize("truth", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_a_distortion(rows, truth):
    y, p, weight, _ = rows
    own = evaluate.temperature(p, y, weight)
    assert own == pytest.approx(1, abs=0.06)
    off = distorted(p, 1 / truth)
    found = evaluate.temperature(off, y, weight)
    assert found == pytest.approx(truth * own, rel=1e-3)
    grid = np.linspace(0.8, 1.25, 46) * found
    losses = [
        -np.sum(weight * np.log(distorted(off, t))[np.arange(len(y)), y]) for t in grid
    ]
    assert grid[np.argmin(losses)] == pytest.approx(found, rel=0.011)
    again = evaluate.calibrated(off, truth)
    np.testing.assert_allclose(again, p, rtol=1e-9)
    np.testing.assert_array_equal(again.argmax(1), off.argmax(1))


def test_reliability_and_ece_are_their_loops(rows):
    y, p, weight, _ = rows
    table = evaluate.reliability(p, y, bins=7, weight=weight)
    total = 0
    for number, (_, found) in enumerate(table.iterrows()):
        inside = [i for i in range(len(y)) if int(max(p[i]) * 7) == table.index[number]]
        w = weight[inside]
        sure = (w * p[inside].max(1)).sum() / w.sum()
        right = (w * (p[inside].argmax(1) == y[inside])).sum() / w.sum()
        assert found["confidence"] == pytest.approx(sure)
        assert found["accuracy"] == pytest.approx(right)
        assert found["share"] == pytest.approx(w.sum() / weight.sum())
        total += w.sum() / weight.sum() * abs(sure - right)
    assert evaluate.ece(p, y, bins=7, weight=weight) == pytest.approx(total)
    assert evaluate.ece(distorted(p, 0.2), y) > 3 * evaluate.ece(p, y)
    certain = np.eye(3)[y]
    assert evaluate.ece(certain, y) == 0


def test_brier_is_that_of_scikit_learn(rows):
    y, p, weight, _ = rows
    wanted = brier_score_loss(y == 2, p[:, 2], sample_weight=weight)
    two = np.stack([1 - p[:, 2], p[:, 2]], axis=1)
    found = evaluate.brier(two, (y == 2).astype(int), weight)
    assert found == pytest.approx(2 * wanted)


@pytest.mark.parametrize("specificity", [0.0, 0.5, 0.9, 0.99, 1.0])
def test_an_operating_point_is_one_of_the_roc_curve(rows, specificity):
    y, p, weight, _ = rows
    score = p[:, 2].round(2)  # Many alike.
    least = evaluate.threshold_at(score, y == 2, specificity, weight)
    sensitivity, found = evaluate.sensitivity_and_specificity(
        score >= least, y == 2, weight
    )
    assert found >= specificity - 1e-9
    false, true, _ = roc_curve(
        y == 2, score, sample_weight=weight, drop_intermediate=False
    )
    best = true[1 - false >= specificity - 1e-9].max()
    assert sensitivity == pytest.approx(best)


def test_operating_points_without_rows():
    assert evaluate.threshold_at([0.2, 0.9], [True, False], 1.0) == np.inf
    with pytest.raises(ValueError, match="rows that are not of the class"):
        evaluate.threshold_at([0.2, 0.9], [True, True], 0.9)
    found = evaluate.sensitivity_and_specificity([True], [True])
    assert found[0] == 1 and np.isnan(found[1])


@pytest.mark.parametrize("n, coverage", [(19, 0.9), (50, 0.9), (99, 0.8)])
def test_conformal_sets_hold_the_truth_as_often_as_promised(rows, n, coverage):
    """Exactly (n + 1 − …)/(n + 1) on average over held-out rows."""
    y, p, _, _ = rows
    p = distorted(p, 0.5)  # Whatever the network.
    rng = np.random.default_rng(1)
    found = []
    for _ in range(1000):
        drawn = rng.permutation(len(y))
        fit, judge = drawn[:n], drawn[n:]
        least = evaluate.conformal_threshold(p[fit], y[fit], coverage)
        found.append((p[judge, y[judge]] >= least).mean())
    wanted = np.ceil((n + 1) * coverage) / (n + 1)
    assert np.mean(found) == pytest.approx(wanted, abs=0.006)


def test_too_few_rows_promise_nothing(rows):
    y, p, _, _ = rows
    assert evaluate.conformal_threshold(p[:8], y[:8], 0.9) == -np.inf
    with pytest.raises(ValueError, match="between 0 and 1"):
        evaluate.conformal_threshold(p, y, 90)


def test_trust_judges_no_row_by_itself(rows):
    y, p, weight, patient = rows
    report = evaluate.trust(y, distorted(p, 0.4), NAMES, weight, patient)
    json.dumps(report, allow_nan=False)
    assert report["temperature"] == pytest.approx([2.5, 2.5], rel=0.1)
    assert report["ece"]["after"] < report["ece"]["before"] / 2
    assert report["brier"]["after"] < report["brier"]["before"]
    assert report["conformal"]["found"] == pytest.approx(0.9, abs=0.02)
    assert 1 < report["conformal"]["size"] < 3
    for point in report["operating_points"].values():
        assert point["specificity"] == pytest.approx(0.9, abs=0.03)
    other = evaluate.trust(y, distorted(p, 0.4), NAMES, weight, patient)
    assert other == report


def test_trust_learns_nothing_from_labels_at_random(rows):
    """Fitted and judged on the same rows, noise would look like knowledge."""
    rng = np.random.default_rng(2)
    y, noise = rng.integers(0, 3, 60), softmax(3 * rng.normal(size=(60, 3)), axis=1)
    report = evaluate.trust(y, noise, NAMES)
    assert report["conformal"]["found"] > 0.75
    assert all(abs(area - 0.5) < 0.2 for area in report["auc"].values())


def test_patients_are_on_one_side(rows, monkeypatch):
    y, p, weight, patient = rows
    seen = []

    def halves(y, groups, *rest):
        found = original(y, groups, *rest)
        seen.extend((set(groups[a]), set(groups[b])) for a, b in found)
        return found

    module = sys.modules["sskeras.evaluate.trust"]
    original = module._halves
    monkeypatch.setattr(module, "_halves", halves)
    evaluate.trust(y, p, NAMES, weight, patient)
    assert len(seen) == 2 and not any(a & b for a, b in seen)


def test_a_class_of_one_patient_is_named(rows):
    y, p, _, _ = rows
    y = np.where(y == 2, 0, y)
    y[0] = 2
    with pytest.raises(ValueError, match="one of covid-19"):
        evaluate.trust(y, p, NAMES)


def test_unlabeled_rows_and_rows_without_weight_do_not_count(rows):
    y, p, weight, patient = rows
    report = evaluate.trust(y, p, NAMES, weight, patient)
    more = np.concatenate([y, -np.ones(50, int), np.zeros(50, int)])
    p = np.concatenate([p, np.full((100, 3), 1 / 3)])
    weight = np.concatenate([weight, np.ones(50), np.zeros(50)])
    patient = np.concatenate([patient, [""] * 100])
    assert evaluate.trust(more, p, NAMES, weight, patient) == report


@pytest.mark.parametrize("channels", [1, 3])
def test_the_control_finds_a_marker_and_no_lesion(channels):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = rng.integers(90, 110, (300, 40, 40, channels)).astype("uint8")
    lesion, marker = x.copy(), x.copy()
    lesion[:, 15:25, 15:25] += (40 * y[:, None, None, None]).astype("uint8")
    marker[:, 1:5, 33:38] += (40 * y[:, None, None, None]).astype("uint8")
    for films, right in ((lesion, False), (marker, True)):
        p = evaluate.source_only(films[:200], y[:200], films[200:], 3)
        assert p.shape == (100, 3) and np.allclose(p.sum(axis=1), 1)
        accuracy = (p.argmax(axis=1) == y[200:]).mean()
        assert accuracy > 0.9 if right else accuracy < 0.55, accuracy
    unlabeled = np.where(np.arange(200) < 100, y[:200], -1)
    a = evaluate.source_only(marker[:200], unlabeled, marker[200:], 3)
    b = evaluate.source_only(marker[:100], y[:100], marker[200:], 3)
    np.testing.assert_array_equal(a, b)


def test_the_frame_is_a_frame():
    mask = frame_mask((20, 40), 0.1)
    assert mask[:2].all() and mask[-2:].all() and mask[:, :4].all()
    assert mask[:, -4:].all() and not mask[2:-2, 4:-4].any()
    with pytest.raises(ValueError, match="between 0 and 0.5"):
        evaluate.source_only(np.zeros((4, 8, 8, 1)), [0, 1] * 2, [], 2, frame=0.5)
    with pytest.raises(ValueError, match="two classes or more"):
        evaluate.source_only(np.zeros((4, 8, 8, 1)), [0] * 4, [], 2)
