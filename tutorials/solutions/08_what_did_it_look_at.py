# %% [markdown]
# # Solutions to [lesson 8](../08_what_did_it_look_at.ipynb)
#
# First everything of the lesson, films and trained networks, in this notebook's own
# namespace (`-i`). About 4 minutes.

# %%
# %%capture
import os

os.chdir("..")
# %run -i 08_what_did_it_look_at.py

# %% [markdown]
# ## 1. Hits by stage

# %%
honest = maps_of(model)
stages = stage[diseased]
rows = {
    s: score_maps(honest[k], drawn[k]) | {"films": k.sum()}
    for s in STAGES
    for k in [(truth == PNEUMONIA) & (stages == s)]
}
hits_by_stage = pd.DataFrame(rows).T
hits_by_stage.round(1)

# %% [markdown]
# Early lesions are rarely hit, developed and late ones alike. But chance rises as well: a
# lesion that has grown is larger, and a point drawn
# anywhere in the lung hits it more often. Compare a stage with its own chance.

# %% tags=["check"]
if not FAST:
    assert (
        hits_by_stage["hits own"].loc["late"] > hits_by_stage["hits own"].loc["early"]
    )
    chance = hits_by_stage["hits another's"]
    assert chance.loc["late"] > chance.loc["early"]

# %% [markdown]
# ## 2. Right and wrong films

# %%
rows = {}
for verdict, fits in (("right", True), ("wrong", False)):
    for s in ("all stages", "early"):
        k = (truth == PNEUMONIA) & ((called[diseased] == truth) == fits)
        k &= (stages == s) | (s == "all stages")
        if k.sum() > 1:  # One film has no other to compare with.
            rows[verdict, s] = score_maps(honest[k], drawn[k]) | {"films": k.sum()}
verdicts = pd.DataFrame(rows).T
verdicts.round(1)

# %% [markdown]
# At first sight, yes: where the network is wrong, its map for pneumonia rarely finds the
# lesion. But nearly all of the wrong films are early. Compare early with early, and little
# of the difference is left: it is the stage that decides.

# %% tags=["check"]
if not FAST:
    own, films = verdicts["hits own"], verdicts["films"]
    assert films["wrong", "early"] > 0.7 * films["wrong", "all stages"]
    gap = {s: own["right", s] - own["wrong", s] for s in ("all stages", "early")}
    assert gap["all stages"] > 12 and gap["early"] < gap["all stages"] - 5

# %% [markdown]
# ## 3. The stamp elsewhere

# %%
middle, high = SIZE // 2, SIZE // 16
places = {
    "as trained": (SIZE - SIZE // 6, SIZE // 16),
    "lower, 4 pixels inwards": (SIZE - SIZE // 6, SIZE // 8),
    "left, half way up": (middle, SIZE // 16),
    "middle": (middle, middle),
    "lower right": (SIZE - SIZE // 6, SIZE - SIZE // 6),
    "upper left": (high, high),
}
called_covid = {
    name: np.mean(fooled.predict(stamp(x_test, *at), verbose=0).argmax(axis=1) == COVID)
    for name, at in places.items()
}
print(
    *(f"{name:24} {100 * share:5.1f} %" for name, share in called_covid.items()),
    sep="\n",
)

# %% [markdown]
# Not everywhere. At the left edge a stamp works even half way up; in the middle, on the
# right and at the top it does nothing. Convolutions know no places, but the zeros with
# which they pad the border do: the network has probably learned "a square beside the left
# edge, away from the top". So a shortcut that you put in the wrong place shows nothing,
# and its absence in such a test proves nothing.

# %% tags=["check"]
if not FAST:
    assert called_covid["as trained"] > 0.95 and called_covid["left, half way up"] > 0.5
    assert max(called_covid[at] for at in ("middle", "lower right", "upper left")) < 0.2

# %% [markdown]
# ## 4. Half of the films stamped

# %%
half = np.zeros(len(y), bool)
half[np.flatnonzero(y == COVID)[::2]] = True
partly = fit(untrained(), stamped_where(half, x), y)
partly_recalls = pd.DataFrame({name: recalls(partly, f) for name, f in tests.items()}).T
partly_recalls.round(1)

# %% [markdown]
# Every stamped COVID-19 film is found, and of those without a stamp fewer than by the
# network of the honest films: it had half as many from which to learn the disease. And a
# stamp makes COVID-19 of many other films. A shortcut need not be perfect to be taken.

# %% tags=["check"]
if not FAST:
    found = partly_recalls["covid-19"]
    assert found["same hospitals"] > 95 and found["no stamps"] < found["same hospitals"]
    assert found["no stamps"] < recalls(model, x_test)["covid-19"]
    assert (partly_recalls.loc["stamps on all", ["normal", "pneumonia"]] < 50).all()

# %% [markdown]
# ## 5. A control that sees the lungs


# %%
def shrink(films):
    blocks = films[..., 0].reshape(len(films), 8, SIZE // 8, 8, SIZE // 8)
    return blocks.mean(axis=(2, 4)).reshape(len(films), 64) / 255


judge = LogisticRegression(class_weight="balanced", max_iter=2000)
seen = judge.fit(shrink(x), y).predict(shrink(x_test))
shrunk = {name: 100 * np.mean(seen[y_test == c] == c) for c, name in enumerate(classes)}
print({name: f"{share:.0f} %" for name, share in shrunk.items()})
print(f"mean {np.mean(list(shrunk.values())):.0f} %")

# %% [markdown]
# It knows a lot, from 64 numbers, where guessing gives 33 %. That is no alarm, for these
# numbers hold the lungs: a lesion makes them brighter. A control tells the hospital from
# the disease only if it cannot see the disease.

# %% tags=["check"]
if not FAST:
    assert np.mean(list(shrunk.values())) > 50

# %% [markdown]
# ## 6. Occlusion and lesions

# %%
some = covid[::2]
rows = {
    "Grad-CAM": explain.grad_cam(model, x_test[some], [COVID] * len(some)),
    "occlusion": occlude(model, x_test[some], COVID),
}
games = pd.DataFrame({name: score_maps(h, lesions[some]) for name, h in rows.items()}).T
games.round(1)

# %% [markdown]
# No. On these 20 films it hits fewer lesions, 5 against 11; above chance neither is ahead,
# by 10 points and 12; and it overlaps them no more than those of other films. The stamp
# is small, in one place, and nothing else speaks for the class: covered, it is gone.
# COVID-19 lies in several patches in both lungs. A gray patch covers one of them, and the
# others still tell; it may even look like a lesion itself. Each method has its blind spot.

# %% tags=["check"]
if not FAST:
    assert games["hits own"]["occlusion"] < games["hits own"]["Grad-CAM"]
    assert abs(games["IoU own"]["occlusion"] - games["IoU another's"]["occlusion"]) < 4
