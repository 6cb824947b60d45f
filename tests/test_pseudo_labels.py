"""What the pseudo-label family learns from, against references and naive loops."""

import numpy as np
import pytest
from given_logits import (
    NEEDED,
    TWO_VIEWS,
    InTurns,
    given,
    pull,
    random_logits,
    softmax,
    step,
)

from sskeras import losses
from sskeras.methods.mixmatch import sharpen
from sskeras.methods.uda import annealing_threshold


def some_labels(rows=12):
    """Every second row is labeled."""
    return np.where(np.arange(rows) % 2, -1, np.arange(rows) // 2 % 3).astype("int32")


def states(model):
    return [w.numpy() for w in model.weights]


def assert_equal_states(model, before):
    for now, then in zip(states(model), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.fixture
def usb(oracle):
    """The reference with its logits as arrays."""
    expected = oracle("usb_modern")
    for name in ("weak", "strong", "labelled"):
        expected[name] = np.array(expected[f"{name}_logits"])
    return expected


# Against the references.


@pytest.mark.parametrize(
    ("name", "arguments", "reference"),
    [
        ("FixMatch", {"threshold": 0.8}, "ce_hard_masked"),
        ("UDA", {"threshold": 0.8, "temperature": 1.0}, "ce_soft_masked"),
    ],
)
def test_masked_cross_entropy_equals_the_reference(usb, name, arguments, reference):
    expected, mask = usb["consistency_loss"][reference], usb["consistency_loss"]["mask"]
    hard = np.eye(3)[usb["consistency_loss"]["hard"]]
    target = np.float32(hard if "hard" in reference else usb["weak_probs"])
    value = losses.cross_entropy(target, np.float32(usb["strong"]), np.float32(mask))
    assert float(value) == pytest.approx(expected["value"], abs=1e-6)
    found, logs, gradients = step(given(name, **arguments), usb["weak"], usb["strong"])
    assert found["unsupervised"] == pytest.approx(expected["value"], abs=1e-6)
    weak, strong = gradients["unsupervised"]
    np.testing.assert_allclose(strong, expected["grad"], atol=1e-6)
    assert np.all(weak == 0)
    assert logs["mask_rate"] == pytest.approx(3 / 6)
    np.testing.assert_allclose(logs["pseudo_labels"], [1 / 6, 2 / 6, 0], rtol=1e-6)


def test_the_fixed_threshold_lets_the_rows_of_the_reference_pass(usb):
    mask = np.array(usb["fixed_threshold_0.95"])
    model = given("FixMatch", threshold=0.95)
    _, logs, gradients = step(model, usb["weak"], usb["strong"])
    hard = np.eye(3)[usb["weak"].argmax(-1)]
    np.testing.assert_allclose(
        gradients["unsupervised"][1], pull(hard, usb["strong"], mask), atol=1e-6
    )
    assert logs["mask_rate"] == pytest.approx(mask.mean())


def test_a_mask_multiplies_its_own_row_only(oracle):
    """The released pseudo-label baseline multiplies every loss by every mask."""
    expected = oracle("fixmatch_pseudolabel_broadcast")
    logits = np.array(expected["logits"])
    model = given("PseudoLabel", threshold=expected["threshold"])
    found, logs, gradients = step(model, logits, 0 * logits)
    intended = expected["intended_mean(loss*mask)"]
    assert found["unsupervised"] == pytest.approx(intended, abs=1e-6)
    assert found["unsupervised"] < expected["as_released_mean"] / 2
    assert logs["mask_rate"] == pytest.approx(np.mean(expected["mask"]))
    hard = np.eye(3)[logits.argmax(-1)]
    same_view, other_view = gradients["unsupervised"]
    expected = pull(hard, logits, expected["mask"])
    np.testing.assert_allclose(same_view, expected, atol=1e-6)
    assert np.abs(same_view).max() > 1e-3  # Unlike FixMatch, through the same view.
    assert np.all(other_view == 0)


def test_annealing_thresholds_equal_the_reference(oracle):
    rows = oracle("usb_modern")["uda_tsa"]
    assert {row["schedule"] for row in rows} == {"none", "linear", "exp", "log"}
    for row in rows:
        found = annealing_threshold(row["schedule"], row["it"], row["total"], row["C"])
        assert float(found) == pytest.approx(row["value"], abs=1e-6), row


def test_sharpening_equals_the_reference(oracle):
    expected = oracle("usb_modern")["mixmatch_sharpen_T0.5"]
    found = sharpen(np.float32(expected["avg"]), 0.5)
    np.testing.assert_allclose(found, expected["sharpened"], atol=1e-6)


def test_the_guess_of_mixmatch_is_the_sharpened_mean_of_the_reference(usb):
    expected = usb["mixmatch_sharpen_T0.5"]["sharpened"]
    model = given("MixMatch", weak=InTurns())
    _, logs, _ = step(model, usb["weak"], usb["strong"])
    np.testing.assert_allclose(
        logs["pseudo_labels"], np.mean(expected, axis=0), atol=1e-6
    )


# Against naive loops.


def naive_supervised(y, logits, weight, kind, rows):
    """Σ w_y CE over the chosen rows and what it is divided by."""
    total, divisor = 0.0, 0.0
    for i in rows:
        total -= weight[y[i]] * np.log(softmax(logits[i])[y[i]])
        divisor += {"batch": 0, "labeled": 1, "weight": weight[y[i]]}[kind]
    return total / (divisor or len(y))


@pytest.mark.parametrize("divisor", ["batch", "labeled", "weight"])
def test_fixmatch_equals_a_naive_loop(divisor):
    (weak, strong), y, w = random_logits(), some_labels(), (1, 1, 5)
    model = given("FixMatch", class_weight=w, threshold=0.8, supervised_divisor=divisor)
    found, logs, _ = step(model, weak, strong, y)
    expected, won = 0.0, np.zeros(3)
    for i in np.flatnonzero(y < 0):
        p = softmax(weak[i])
        if p.max() >= 0.8:
            expected -= np.log(softmax(strong[i])[p.argmax()]) / 6
            won[p.argmax()] += 1
    assert 0 < won.sum() < 6
    assert found["unsupervised"] == pytest.approx(expected, rel=1e-5)
    supervised = naive_supervised(y, weak, w, divisor, np.flatnonzero(y >= 0))
    assert found["supervised"] == pytest.approx(supervised, rel=1e-5)
    assert logs["mask_rate"] == pytest.approx(won.sum() / 6)
    np.testing.assert_allclose(logs["pseudo_labels"], won / 6, rtol=1e-6)


@pytest.mark.parametrize("divisor", ["batch", "labeled", "weight"])
def test_uda_equals_a_naive_loop(divisor):
    (weak, strong), y, w = random_logits(), some_labels(), (1, 1, 5)
    model = given(
        "UDA",
        class_weight=w,
        annealing="linear",
        annealing_steps=10,
        supervised_divisor=divisor,
    )
    model.steps.assign(3)
    found, logs, _ = step(model, weak, strong, y)
    annealing = 0.3 * (1 - 1 / 3) + 1 / 3
    expected, taken, sharpened_only = 0.0, 0, 0
    for i in np.flatnonzero(y < 0):
        q = softmax(weak[i] / 0.4)
        if softmax(weak[i]).max() >= 0.8:
            expected -= np.sum(q * np.log(softmax(strong[i]))) / 6
            taken += 1
        elif q.max() >= 0.8:
            sharpened_only += 1
    assert taken and sharpened_only
    labeled = np.flatnonzero(y >= 0)
    kept = [i for i in labeled if softmax(weak[i])[y[i]] <= annealing]
    assert 0 < len(kept) < len(labeled)
    supervised = naive_supervised(y, weak, w, divisor, kept)
    assert found["unsupervised"] == pytest.approx(expected, rel=1e-5)
    assert found["supervised"] == pytest.approx(supervised, rel=1e-5)
    assert logs["mask_rate"] == pytest.approx(taken / 6)
    assert logs["annealing_threshold"] == pytest.approx(annealing)


def test_an_evaluation_holds_no_labeled_image_back():
    (weak, strong), y = random_logits(), some_labels()
    model = given("UDA", annealing="linear", annealing_steps=10)
    found, _, _ = step(model, weak, strong, y, training=False)
    expected = naive_supervised(y, weak, (1, 1, 1), "labeled", np.flatnonzero(y >= 0))
    assert found["supervised"] == pytest.approx(expected, rel=1e-5)


def test_images_that_are_all_known_cost_nothing():
    """The divisor is then a count of none."""
    (weak, strong), y = random_logits(), some_labels()
    weak[y >= 0] = 20 * np.eye(3)[y[y >= 0]]
    found, _, gradients = step(given("UDA", annealing="linear"), weak, strong, y)
    assert found["supervised"] == 0
    assert np.all(gradients["supervised"][0] == 0)
    assert found["unsupervised"] > 0


def drawn_shares(rows):
    """The shares and partners of the first draw of `given("MixMatch")`, as a matrix."""
    unmixed = np.split(np.eye(rows, dtype="float32"), 2)
    return given("MixMatch").mix(unmixed, unmixed)[0].numpy()


@pytest.mark.parametrize("divisor", ["batch", "labeled"])
def test_mixmatch_equals_a_naive_loop(divisor):
    (first, second), y, w = random_logits(8), some_labels(8), (1, 1, 5)
    arguments = {"weak": InTurns(), "class_weight": w, "supervised_divisor": divisor}
    found, logs, _ = step(given("MixMatch", **arguments), first, second, y)
    shares = drawn_shares(16)
    guess = ((softmax(first) + softmax(second)) / 2) ** 2
    guess /= guess.sum(-1, keepdims=True)
    target = np.where(y[:, None] >= 0, np.eye(3)[y], guess)
    mixed_target = shares @ np.concatenate([target, target])
    mixed_logits = shares @ np.concatenate([first, second])
    divided_by = {"batch": 16, "labeled": 8}[divisor]  # Twice: there are two views.
    supervised = unsupervised = 0.0
    for i in range(16):
        p, q = softmax(mixed_logits[i]), mixed_target[i]
        if y[i % 8] >= 0:
            supervised -= np.sum(w * q * np.log(p)) / divided_by
        else:
            unsupervised += np.sum((p - q) ** 2) / (8 * 3)
    assert found["supervised"] == pytest.approx(supervised, rel=1e-5)
    assert found["unsupervised"] == pytest.approx(unsupervised, rel=1e-5)
    expected = guess[y < 0].mean(axis=0)
    np.testing.assert_allclose(logs["pseudo_labels"], expected, rtol=1e-5)


def test_shares_are_at_least_one_half_and_partners_a_permutation():
    model, rows = given("MixMatch"), 2000
    unmixed = np.split(np.eye(rows, dtype="float32"), 2)
    shares, targets = model.mix([part[..., None, None] for part in unmixed], unmixed)
    shares = np.array(shares)[:, :, 0, 0]
    np.testing.assert_array_equal(targets, shares)
    own = np.diag(shares)
    assert own.min() >= 0.5
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_array_less((shares > 0).sum(axis=1), 3)
    others = shares - np.diag(own)
    assert (others > 0).sum(axis=0).max() == 1  # Nobody is the partner of two.
    assert np.count_nonzero(others) > 0.9 * rows
    # The larger of λ and 1 - λ, of the arcsine distribution, is 1/2 + 1/π on average.
    assert own.mean() == pytest.approx(0.5 + 1 / np.pi, abs=0.02)


def test_a_small_temperature_sharpens_without_dividing_zero_by_zero():
    found = sharpen(np.float32([[0.34, 0.33, 0.33]]), 0.01)
    np.testing.assert_allclose(found, [[0.908, 0.046, 0.046]], atol=1e-3)


# What holds for the whole family.


@pytest.mark.parametrize("name", TWO_VIEWS)
def test_no_gradient_flows_through_a_target(name):
    """Only the strong views of unlabeled images are pulled."""
    (weak, strong), y = random_logits(), some_labels()
    _, _, gradients = step(given(name), weak, strong, y)
    for loss in set(gradients) - {"supervised"}:
        through_weak, through_strong = gradients[loss]
        assert np.all(through_weak == 0), loss
        assert np.abs(through_strong[y < 0]).max() > 1e-6, loss
        assert np.all(through_strong[y >= 0] == 0), loss
    through_weak, through_strong = gradients["supervised"]
    assert np.all(through_strong == 0)
    assert np.abs(through_weak[y >= 0]).max() > 1e-6
    assert np.all(through_weak[y < 0] == 0)


def test_the_target_of_mixmatch_gets_no_gradient():
    """All comes from the difference at the mixed logits, as if targets were fixed."""
    first, second = random_logits(6)
    model = given("MixMatch", weak=InTurns())
    _, _, gradients = step(model, first, second)
    shares = drawn_shares(12)
    guess = ((softmax(first) + softmax(second)) / 2) ** 2
    guess /= guess.sum(-1, keepdims=True)
    p = softmax(shares @ np.concatenate([first, second]))
    pulled = 2 * (p - shares @ np.concatenate([guess, guess])) / (12 * 3)
    pulled = p * (pulled - np.sum(p * pulled, axis=-1, keepdims=True))
    expected = np.split(shares.T @ pulled, 2)
    for found, one in zip(gradients["unsupervised"], expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-6)


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_an_evaluation_changes_no_state(name):
    (weak, strong), y = random_logits(), some_labels()
    model = given(name)
    for labels in (y, np.where(y < 0, 0, y), np.full(12, -1)):
        before = states(model)
        found, logs, _ = step(model, weak, strong, labels, training=False)
        assert_equal_states(model, before)
        assert all(np.isfinite(value) for value in found.values())
        assert all(np.all(np.isfinite(value)) for value in logs.values())
        step(model, weak, strong, y)  # And once more with averages that have moved.


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_batch_without_unlabeled_images_costs_and_moves_nothing(name):
    """At the very start, and later; FlexMatch counts labeled images as won too."""
    weak, strong = random_logits()
    model, labeled = given(name), np.arange(12) % 3
    for _ in range(2):
        kept = {"AdaMatch": ["labeled"], "FlexMatch": ["memory"], "MixMatch": []}
        before = {w.path: w.numpy() for w in model.weights}
        found, logs, gradients = step(model, weak, strong, labeled)
        for w in model.weights:
            if w.name not in kept.get(name, []) and "seed" not in w.path:
                np.testing.assert_array_equal(w, before[w.path], err_msg=w.path)
        assert found["supervised"] > 0
        assert all(found[loss] == 0 for loss in set(found) - {"supervised"})
        assert logs.get("mask_rate", 0) == 0
        assert np.all(logs["pseudo_labels"] == 0)
        assert all(np.all(np.isfinite(value)) for value in logs.values())
        for loss, both in gradients.items():
            assert np.all(np.isfinite(both))
            assert loss == "supervised" or np.all(np.equal(both, 0))
        step(model, weak, strong, some_labels())


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_a_batch_without_labeled_images_is_finite(name):
    weak, strong = random_logits()
    found, logs, gradients = step(given(name), weak, strong, np.full(12, -1))
    assert found["supervised"] == 0
    assert all(np.isfinite(value) for value in found.values())
    assert all(np.all(np.isfinite(value)) for value in logs.values())
    assert all(np.all(np.isfinite(both)) for both in gradients.values())


@pytest.mark.parametrize(
    "name", sorted(set(NEEDED) - {"AdaMatch", "FlexMatch", "MixMatch"})
)
def test_labeled_images_matter_to_the_supervised_loss_only(name):
    """Averages, masks, divisors and logs are those of the unlabeled images alone."""
    (weak, strong), y = random_logits(), some_labels()
    rows = np.flatnonzero(y < 0)
    both, alone = given(name), given(name)
    for _ in range(2):
        found = step(both, weak, strong, y)
        expected = step(alone, weak[rows], strong[rows], y[rows])
        for loss in set(found[0]) - {"supervised"}:
            assert found[0][loss] == pytest.approx(expected[0][loss], rel=1e-5), loss
        for log, value in expected[1].items():
            np.testing.assert_allclose(found[1][log], value, rtol=1e-5, err_msg=log)
        for one, other in zip(states(both), states(alone), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_logits_in_half_precision_cost_nearly_the_same(name):
    (weak, strong), y = random_logits(), some_labels()
    expected, _, _ = step(given(name), weak, strong, y)
    model = given(name, dtype="float16")
    found, logs, _ = step(model, weak, strong, y)
    assert found == pytest.approx(expected, rel=1e-2)
    assert {w.dtype for w in model.weights} <= {"float32", "int32", "uint32"}
    assert all(value.dtype == "float32" for value in logs.values())
