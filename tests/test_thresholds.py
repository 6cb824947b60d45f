"""Thresholds and weights that move: FlexMatch, FreeMatch, SoftMatch and AdaMatch.

The logits are given, see given_logits.py.
"""

import numpy as np
import pytest
from given_logits import UNLABELED, given, pull, random_logits, softmax, step

from sskeras import losses
from sskeras.methods import pseudo


@pytest.fixture
def usb(oracle):
    """The reference with its logits as arrays."""
    expected = oracle("usb_modern")
    for name in ("weak", "strong", "labelled"):
        expected[name] = np.array(expected[f"{name}_logits"])
    expected["hard"] = np.eye(3)[expected["weak"].argmax(-1)]
    return expected


def batches(count=4, rows=12, scale=2.0):
    """Given logits and labels, about a third of them known."""
    rng = np.random.default_rng(7)
    for seed in range(count):
        weak, strong = random_logits(rows, seed + 10, scale)
        y = np.where(rng.random(rows) < 0.3, rng.integers(0, 3, rows), -1)
        yield weak, strong, y.astype("int32")


def naive_loss(target, strong, weight, y):
    """The unsupervised loss and the mask rate, row by row."""
    rows, loss = np.flatnonzero(y < 0), 0.0
    for i in rows:
        loss -= weight[i] * np.log(softmax(strong[i])[target[i]]) / len(rows)
    return loss, np.mean([weight[i] for i in rows])


def assert_learns_as(found, logs, target, strong, weight, y):
    loss, rate = naive_loss(target, strong, weight, y)
    assert found["unsupervised"] == pytest.approx(loss, rel=2e-5)
    assert logs["mask_rate"] == pytest.approx(rate, rel=1e-5)
    for c, share in enumerate(logs["pseudo_labels"]):
        by_hand = [weight[i] * (target[i] == c) for i in np.flatnonzero(y < 0)]
        assert share == pytest.approx(np.mean(by_hand), rel=1e-5)


# FlexMatch.


def test_flexmatch_equals_the_reference(usb):
    expected = usb["flexmatch"]
    size, cutoff = expected["pool"], expected["p_cutoff"]
    model = given("FlexMatch", num_images=size, threshold=cutoff)
    for call in expected["calls"]:
        beta = model.class_thresholds().numpy()
        index = np.array(call["idx_ulb"])
        found, logs, gradients = step(model, usb["weak"], usb["strong"], index=index)
        np.testing.assert_array_equal(logs["threshold"], beta)  # From before the call.
        mask = np.array(call["mask_returned"])
        pulled = pull(usb["hard"], usb["strong"], mask)
        np.testing.assert_allclose(gradients["unsupervised"][1], pulled, atol=1e-6)
        assert logs["mask_rate"] == mask.mean()
        winner = np.array(call["selected_label_after"])
        np.testing.assert_array_equal(model.winner, np.where(winner < 0, 3, winner))
        beta = np.array(call["classwise_acc_after"])
        np.testing.assert_allclose(
            model.class_thresholds(), cutoff * beta / (2 - beta), atol=1e-6
        )


def test_flexmatch_equals_a_naive_loop():
    """Over rounds of a pool in which every image wins, changes sides or stays."""
    tau, size = 0.8, 24
    model = given("FlexMatch", num_images=size, threshold=tau)
    winner, rates = [None] * size, set()
    rng = np.random.default_rng(0)
    for weak, strong, y in batches(count=8):
        index = rng.permutation(size)[:12]
        found, logs, _ = step(model, weak, strong, y, index)
        won = [winner.count(c) for c in (0, 1, 2, None)]
        beta = np.array(won[:3]) / max(won)
        limits = tau * beta / (2 - beta)
        np.testing.assert_allclose(logs["threshold"], limits, rtol=1e-5)
        p = softmax(weak)
        target = p.argmax(-1)
        mask = [float(p[i].max() >= limits[target[i]]) for i in range(12)]
        assert_learns_as(found, logs, target, strong, mask, y)
        rates.add(logs["mask_rate"].item())
        for i, image in enumerate(index):
            if p[i].max() >= tau:
                winner[image] = target[i]
    assert len(rates) > 2  # The masks were not all alike.
    assert winner.count(None) < max(won[:3])  # The warm-up is over.


def test_a_class_that_is_never_confident_keeps_threshold_zero():
    model = given("FlexMatch", num_images=6, threshold=0.9)
    first, second, unsure = [0.98, 0.01, 0.01], [0.01, 0.98, 0.01], [0.3, 0.3, 0.4]
    weak = np.log([first, first, first, second, unsure, unsure])
    for _ in range(3):
        found, logs, _ = step(model, weak, 0 * weak)
    # 3, 1 and 0 images won, 2 by no class.
    np.testing.assert_allclose(logs["threshold"], [0.9, 0.9 / 5, 0], rtol=1e-6)
    assert logs["mask_rate"] == 1
    np.testing.assert_allclose(logs["pseudo_labels"], [3 / 6, 1 / 6, 2 / 6], rtol=1e-6)
    assert found["unsupervised"] == pytest.approx(np.log(3), rel=1e-6)


def test_as_long_as_most_images_are_won_by_no_class_thresholds_stay_low():
    model = given("FlexMatch", num_images=10, threshold=0.9)
    model.winner.assign([0, 0, 0, 1, 3, 3, 3, 3, 3, 3])
    beta = np.array([3 / 6, 1 / 6, 0])
    expected = 0.9 * beta / (2 - beta)
    np.testing.assert_allclose(model.class_thresholds(), expected, rtol=1e-6)


def test_labeled_images_are_won_too():
    """N counts every image of the training set, and so do the images won."""
    weak = np.log([[0.98, 0.01, 0.01], [0.01, 0.98, 0.01]])
    model = given("FlexMatch", num_images=2)
    step(model, weak, weak, np.array([0, -1]))
    np.testing.assert_array_equal(model.winner, [0, 1])


def test_an_image_is_won_if_one_of_its_rows_in_a_batch_is_confident():
    """As it is where one row is in a batch and the other in the next."""
    sure, unsure = np.log([0.98, 0.01, 0.01]), np.log([0.4, 0.3, 0.3])
    for weak in ([sure, unsure], [unsure, sure]):
        model = given("FlexMatch", num_images=3)
        step(model, weak, weak, np.full(2, -1), index=np.array([1, 1]))
        np.testing.assert_array_equal(model.winner, [3, 0, 3])


# FreeMatch.


def averages(model):
    return {
        "time_p": model.confidence,
        "p_model": model.seen,
        "label_hist": model.histogram,
    }


def test_freematch_equals_the_reference(usb):
    expected = usb["freematch"]
    model = given("FreeMatch", momentum=expected["momentum"])
    for call in expected["calls"]:
        weak = call["logits_scale"] * usb["weak"]
        found, logs, gradients = step(model, weak, usb["strong"])
        for name, average in averages(model).items():
            np.testing.assert_allclose(average, call[name], atol=1e-6, err_msg=name)
        pulled = pull(usb["hard"], usb["strong"], call["mask"])
        np.testing.assert_allclose(gradients["unsupervised"][1], pulled, atol=1e-6)
    # The fairness of the reference is that of the second call, where all rows pass.
    expected = expected["entropy_loss"]
    assert found["fairness"] == pytest.approx(expected["value"], abs=1e-6)
    np.testing.assert_allclose(gradients["fairness"][1], expected["grad"], atol=1e-6)


def test_freematch_equals_the_reference_after_60_calls(usb):
    expected = usb["freematch_after_60_identical_calls"]
    model = given("FreeMatch", momentum=0.9)
    for _ in range(60):
        found, logs, gradients = step(model, usb["weak"], usb["strong"])
    for name, average in averages(model).items():
        np.testing.assert_allclose(average, expected[name], atol=1e-6, err_msg=name)
    limits = expected["per_class_threshold"]
    np.testing.assert_allclose(logs["threshold"], limits, atol=1e-6)
    pulled = pull(usb["hard"], usb["strong"], expected["mask"])
    np.testing.assert_allclose(gradients["unsupervised"][1], pulled, atol=1e-6)
    expected = expected["entropy_loss_on_masked_strong"]
    assert found["fairness"] == pytest.approx(expected["value"], abs=1e-6)
    np.testing.assert_allclose(gradients["fairness"][1], expected["grad"], atol=1e-6)


def naive_fairness(seen, histogram, strong):
    p = softmax(strong)
    wins = np.bincount(p.argmax(-1), minlength=3) / len(p)
    a, b = np.zeros(3), np.zeros(3)
    for c in range(3):
        a[c] = seen[c] / histogram[c] if histogram[c] else 0
        b[c] = p[:, c].mean() / wins[c] if wins[c] else 0
    return np.sum(a / a.sum() * np.log(b / b.sum() + 1e-12))


def test_freematch_equals_a_naive_loop():
    m, rates = 0.6, set()
    model = given("FreeMatch", momentum=m)
    tau, seen, histogram = 1 / 3, np.full(3, 1 / 3), np.full(3, 1 / 3)
    for weak, strong, y in batches():
        found, logs, _ = step(model, weak, strong, y)
        p = softmax(weak)
        target, u = p.argmax(-1), y < 0
        tau = m * tau + (1 - m) * p[u].max(-1).mean()
        seen = m * seen + (1 - m) * p[u].mean(0)
        histogram = m * histogram + (1 - m) * np.eye(3)[target[u]].mean(0)
        limits = tau * seen / seen.max()
        np.testing.assert_allclose(logs["threshold"], limits, rtol=1e-5)
        mask = (p.max(-1) >= limits[target]).astype(float)
        assert_learns_as(found, logs, target, strong, mask, y)
        fairness = naive_fairness(seen, histogram, strong[u & (mask == 1)])
        assert found["fairness"] == pytest.approx(fairness, rel=1e-5)
        rates.add(logs["mask_rate"].item())
    assert min(rates) < 1


def test_fairness_without_a_row_that_passes_is_zero_with_zero_gradient():
    model = given("FreeMatch", momentum=0.999)
    model.confidence.assign(0.99)
    weak, strong = random_logits(6, scale=0.1)
    found, logs, gradients = step(model, weak, strong)
    assert logs["mask_rate"] == 0
    assert found["fairness"] == found["unsupervised"] == 0
    assert all(np.all(np.equal(both, 0)) for both in gradients.values())


def test_fairness_is_finite_where_a_class_never_wins():
    """Neither in the batch nor ever before: 1 / 0 counts as 0."""
    model = given("FreeMatch", momentum=0.0)
    weak, strong = random_logits(6)
    weak[:, 2] = strong[:, 2] = -8
    found, logs, gradients = step(model, weak, strong)
    p, histogram = softmax(weak), model.histogram.numpy()
    assert histogram[2] == 0
    passes = p.max(-1) >= logs["threshold"][p.argmax(-1)]
    assert logs["mask_rate"] == pytest.approx(passes.mean())
    fairness = naive_fairness(p.mean(0), histogram, strong[passes])
    assert found["fairness"] == pytest.approx(fairness, rel=1e-5)
    assert np.all(np.isfinite(gradients["fairness"]))
    assert np.abs(gradients["fairness"][1]).max() > 1e-6


def test_fairness_is_minus_a_cross_entropy():
    """Highest where both sides agree, with minus their entropy."""
    seen, ones = np.float32([0.5, 0.3, 0.2]), np.ones(3, "float32")
    highest = np.sum(seen * np.log(seen))
    found = float(losses.fairness(seen, ones, seen, ones))
    assert found == pytest.approx(highest, rel=1e-6)
    for strong in ([0.4, 0.4, 0.2], [0.6, 0.3, 0.1]):
        assert float(losses.fairness(seen, ones, np.float32(strong), ones)) < highest


# SoftMatch.


def test_softmatch_equals_the_reference(usb):
    """With a prior equal to the mean prediction, alignment changes nothing."""
    prior = np.mean(usb["weak_probs"], axis=0)
    reference = usb["softmatch"], usb["softmatch_after_60_identical_calls"]
    model = given("SoftMatch", class_prior=prior, momentum=reference[0]["momentum"])
    assert model.sigmas == reference[0]["n_sigma"]
    for call in range(60):
        _, logs, gradients = step(model, usb["weak"], usb["strong"])
        if call in (0, 59):
            expected = reference[call > 0]
            variance = expected.get("var", expected.get("var_unbiased"))
            assert float(model.mean) == pytest.approx(expected["mu"], abs=1e-6)
            assert float(model.variance) == pytest.approx(variance, abs=1e-6)
            assert logs["confidence"] == pytest.approx(expected["mu"], abs=1e-6)
            assert logs["variance"] == pytest.approx(variance, abs=1e-6)
            pulled = pull(usb["hard"], usb["strong"], expected["weights"])
            found = gradients["unsupervised"][1]
            np.testing.assert_allclose(found, pulled, atol=1e-6)
            rate = np.mean(expected["weights"])
            assert logs["mask_rate"] == pytest.approx(rate, abs=1e-6)


def test_alignment_to_equal_shares_equals_the_reference(usb):
    expected, even = usb["dist_align"], np.full(3, 1 / 3)
    model = given("SoftMatch", class_prior=even, momentum=0.9)
    for order, name in ((1, "uniform_call1"), (-1, "uniform_call2_flipped_rows")):
        weak = usb["weak"][::order]
        step(model, weak, usb["strong"])
        aligned = model.aligned(pseudo.probabilities(weak))
        np.testing.assert_allclose(aligned, expected[name], atol=1e-6)
    np.testing.assert_allclose(model.seen, expected["p_model_after2"], atol=1e-6)


@pytest.mark.parametrize("prior", [(1 / 3, 1 / 3, 1 / 3), (0.6, 0.39, 0.01)])
def test_softmatch_equals_a_naive_loop(prior):
    """The weight is that of aligned predictions, the target that of plain ones."""
    m, n, seen, mu, variance = 0.6, 1.5, None, 1 / 3, 1.0
    model = given("SoftMatch", class_prior=prior, momentum=m, sigmas=n)
    turned = 0
    for weak, strong, y in batches(6):
        found, logs, _ = step(model, weak, strong, y)
        p, u = softmax(weak), y < 0
        mean = p[u].mean(0)
        seen = mean if seen is None else m * seen + (1 - m) * mean
        aligned = p * (np.array(prior) + 1e-6) / (seen + 1e-6)
        aligned /= aligned.sum(-1, keepdims=True)
        top, target = aligned.max(-1), p.argmax(-1)
        turned += np.sum(aligned.argmax(-1) != target)
        mu = m * mu + (1 - m) * top[u].mean()
        variance = m * variance + (1 - m) * top[u].var(ddof=1)
        weight = np.exp(-(np.minimum(top - mu, 0) ** 2) / (2 * variance / n**2))
        assert_learns_as(found, logs, target, strong, weight, y)
        assert logs["confidence"] == pytest.approx(mu, rel=1e-5)
        assert logs["variance"] == pytest.approx(variance, rel=1e-5)
    assert turned  # Aligned predictions would have given other targets.


def test_a_single_unlabeled_image_has_no_variance_and_no_nan():
    model = given("SoftMatch", momentum=0.0)
    weak, strong = random_logits(3)
    for _ in range(2):
        found, logs, gradients = step(model, weak, strong, np.array([0, 1, -1]))
    assert logs["variance"] == 0
    assert logs["mask_rate"] == 1
    assert np.isfinite(found["unsupervised"])
    assert np.all(np.isfinite(gradients["unsupervised"]))


def test_a_prior_of_no_labels_at_all_is_refused():
    with pytest.raises(ValueError, match="share of each of the 3 classes"):
        given("SoftMatch", class_prior=np.full(3, np.nan))


# AdaMatch.


def test_adamatch_equals_the_reference(usb):
    """The released code starts the average prediction with that of the first batch."""
    expected = usb["dist_align"]
    model = given("AdaMatch", momentum=0.9)
    model.seen.assign(np.mean(usb["weak_probs"], axis=0))
    weak = np.concatenate([usb["labelled"], usb["weak"]])
    strong = np.concatenate([usb["labelled"], usb["strong"]])
    y = np.concatenate([[0, 1, 2, 0], UNLABELED])
    _, logs, gradients = step(model, weak, strong, y)
    np.testing.assert_allclose(model.labeled, expected["p_target_after1"], atol=1e-6)
    aligned = pseudo.align(pseudo.probabilities(usb["weak"]), model.labeled, model.seen)
    np.testing.assert_allclose(aligned, expected["model_type_call1"], atol=1e-6)
    assert logs["threshold"] == pytest.approx(usb["adamatch"]["cutoff"], abs=1e-6)
    mask = np.array(usb["adamatch"]["mask"])
    assert logs["mask_rate"] == pytest.approx(mask.mean())
    pulled = pull(np.eye(3)[np.argmax(aligned, -1)], usb["strong"], mask)
    np.testing.assert_allclose(gradients["unsupervised"][1][4:], pulled, atol=1e-6)


def test_adamatch_equals_a_naive_loop():
    m, tau, turned, rates = 0.6, 0.6, 0, set()
    model = given("AdaMatch", momentum=m, threshold=tau)
    labeled = seen = np.full(3, 1 / 3)
    for weak, strong, y in batches(6):
        found, logs, _ = step(model, weak, strong, y)
        p, u = softmax(weak), y < 0
        assert np.any(~u)
        labeled = m * labeled + (1 - m) * p[~u].mean(0)
        seen = m * seen + (1 - m) * p[u].mean(0)
        aligned = p * (labeled + 1e-6) / (seen + 1e-6)
        aligned /= aligned.sum(-1, keepdims=True)
        limit = tau * p[~u].max(-1).mean()
        assert logs["threshold"] == pytest.approx(limit, rel=1e-5)
        mask = (aligned.max(-1) >= limit).astype(float)
        target = aligned.argmax(-1)
        turned += np.sum(mask * u * (target != p.argmax(-1)))
        assert_learns_as(found, logs, target, strong, mask, y)
        rates.add(logs["mask_rate"].item())
    assert turned
    assert min(rates) < 1


def test_adamatch_without_labeled_images_keeps_its_averages_and_its_threshold():
    model = given("AdaMatch", momentum=0.5, threshold=0.9)
    weak, strong = random_logits(6)
    _, logs, _ = step(model, weak, strong)
    assert logs["threshold"] == pytest.approx(0.9)
    np.testing.assert_array_equal(model.labeled, np.full(3, 1 / 3, "float32"))
    assert not np.allclose(model.seen, 1 / 3, atol=1e-3)
