# %% [markdown]
# # Solutions to [lesson 7](../07_weights_and_thresholds.ipynb)
#
# First everything of the lesson, films and answers of the trained networks. About 4
# minutes.

# %%
# %%capture
import os

os.chdir("..")
# %run -i 07_weights_and_thresholds.py

# %% [markdown]
# ## 1. Six films of COVID-19

# %%
SHARE = 0.2
few = {weight: trained("ssresnet", weight, seed=0) for weight in (2, 50)}
six = {f"weight {weight}": score(q) for weight, q in few.items()}
six["weight 2, r > 1/10"] = score(moved(few[2], 10))
print(evaluate.table(six))
{weight: f"area {roc_auc_score(is_covid, ratio(q)):.2f}" for weight, q in few.items()}

# %% tags=["check"]
areas = {weight: roc_auc_score(is_covid, ratio(q)) for weight, q in few.items()}
assert FAST or areas[2] < areas[50] - 0.05

# %% [markdown]
# No. The area under the curve of the lesson would be 0.5 for a toss of a coin, and the
# network with the weight 2 is not far from that: from six films it has hardly learned the
# class, and its threshold buys little for much. With the weight 50 it learns the class, and
# the others pay. So a weight settles two things: whether a rare class is learned, and how
# readily it is called. A threshold settles the second alone.

# %% [markdown]
# ## 2. A threshold from half of the patients
#
# The threshold is the value of $r$ that 80 % of the COVID-19 films of the first half reach.

# %%
rng, found = np.random.default_rng(0), []
for _ in range(200):
    first = (rng.permutation(len(names)) < len(names) / 2)[number]
    if is_covid[first].any() and is_covid[~first].any():
        reached = np.sort(r[first & is_covid])
        threshold = reached[len(reached) // 5]
        found.append(
            [np.mean(r[half & is_covid] >= threshold) for half in (first, ~first)]
        )
pd.DataFrame(found, columns=["chosen on", "other half"]).describe().round(2)

# %% tags=["check"]
chosen, other = np.transpose(found)
assert chosen.min() >= 0.8 or FAST
assert FAST or (other.mean() < chosen.mean() + 0.01 and other.std() > 0.05)

# %% [markdown]
# On the half on which the threshold was chosen the recall is 80 % or a little more: it was
# chosen so. On the other half it is lower on average, and it may be far off: some nine
# patients do not fix a threshold. Only the recall of the other half may be reported.

# %% [markdown]
# ## 3. Costs
#
# With the weights of the manifest the films stand at the paper's prevalence, and every value
# of $r$ is a threshold to try.

# %%
found = []
for k in (1, 10, 100, 1000):
    cost = [
        np.sum(test.weight * np.where(is_covid, k * (r <= t), r > t))
        for t in np.sort(r)
    ]
    t = np.sort(r)[np.argmin(cost)]
    sensitivity, alarms = np.mean(r[is_covid] > t), np.mean(r[~is_covid] > t)
    found.append((sensitivity, alarms))
    print(
        f"k = {k:4}: r > {t:.3f}, sensitivity {sensitivity:.0%}, false alarms {alarms:.0%}"
    )

# %% tags=["check"]
assert np.all(np.diff(found, axis=0) >= 0)
assert FAST or found[0][0] < 0.5

# %% [markdown]
# The more a missed film costs, the lower the threshold, and the more false alarms one
# accepts. With $k = 1$, which is about what accuracy counts, most of the ill are left
# alone. How many false alarms a missed patient is worth is not a question for a network.
# (These thresholds are chosen on the test films; they look better than they are, as
# above.)

# %% [markdown]
# ## 4. A weight undone

# %%
largest = WEIGHTS[-1]
undone = score(moved(answers[largest], 1 / largest))
one = scores.get("weight 1", late)
print(evaluate.table({"weight 1": one, f"weight {largest}, undone": undone}))

# %% tags=["check"]
if not FAST:
    assert undone["accuracy"]["value"] < scores["weight 1"]["accuracy"]["value"] - 0.03

# %% [markdown]
# In theory it would be. It calls COVID-19 less often than it did, as it should, but its
# accuracy remains below that of the weight 1: what the large weight kept it from learning
# about normal and pneumonia, no threshold restores.

# %% [markdown]
# ## 5. How many patients
#
# A share $p$ of $n$ patients has the standard error $\sqrt{p(1-p)/n}$, and two of them
# are to be 5 points. For two shares to differ visibly, say their difference is to be
# three standard errors of a difference, $\sqrt{(p_1(1-p_1) + p_2(1-p_2))/n}$.

# %%
print(f"± 5 points: {0.5 * 0.5 * (2 / 0.05) ** 2:.0f} patients")
one, other = 10 / 33, 4 / 33
variance = one * (1 - one) + other * (1 - other)
print(f"10/33 against 4/33: {variance * (3 / (one - other)) ** 2:.0f} patients")

# %% [markdown]
# Patients, not films; the paper's test set has 33 films. To see the difference between its
# 10 and 4 it would need more than twice as many, if the true recalls are those.
