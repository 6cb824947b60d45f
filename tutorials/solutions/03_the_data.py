# %% [markdown]
# # Solutions to [lesson 3](../03_the_data.ipynb)
#
# First everything of the lesson; `-i` lets its functions see what we change here. About
# 1 minute.

# %%
# %%capture
import os

os.chdir("..")
# %run -i 03_the_data.py

# %% [markdown]
# ## 1. Films of the same patient
#
# The same count as for the boxes, with patients in place of films.

# %%
films_each, how_many = np.array([1, 2, 3, 4]), np.array([51, 21, 1, 3])
patient_of_film = np.repeat(np.arange(76), np.repeat(films_each, how_many))


def count_known_patients():
    order = rng.permutation(patient_of_film)
    return np.isin(order[75:], order[:75]).sum()


known = [count_known_patients() for _ in range(2000)]
print(f"{np.mean(known):.1f} of 33, from {min(known)} to {max(known)}")

# %% tags=["check"]
assert len(patient_of_film) == 108 and 13 < np.mean(known) < 14.5

# %% [markdown]
# About 13 of 33: two COVID-19 test films of five are of a patient whom training knows.
# The recall of a split by film is a mixture of recognizing the disease and recognizing
# people.
#
# ## 2. Three films each
#
# 200 patients with three films are as many films as 60 with ten. A split by film gains 8
# points for the disease and 10 for the coin, in place of 27 and 30: a test film has at most
# two relatives in training.

# %%
count = 20 if FAST else 200
films, patients, sick = draw_patients(count, 3, seed=3)
coins = np.random.default_rng(SEED).permuted([sick[::3]] * SPLITS, axis=1)[:, patients]
gains = {}
for what, labels in {"disease": [sick] * SPLITS, "coin": coins}.items():
    for how, names in {"film": range(len(films)), "patient": patients}.items():
        got = [scores(names, label, s)[0] for s, label in enumerate(labels)]
        gains[what, how] = np.mean(got)
        print(f"{what}, split by {how:8} {100 * gains[what, how]:.0f} %")

# %% tags=["check"]
if not FAST:
    for what in ("disease", "coin"):
        assert 0.03 < gains[what, "film"] - gains[what, "patient"] < 0.2
    assert gains["disease", "patient"] > by_patient[:, 0].mean() + 0.03

# %% [markdown]
# Less than with ten films, since a test film has at most two relatives in training; but
# it is still there. Look at the second line, too: split by patient, the score is higher
# than in the lesson, with as many films. New patients teach more than new films of the
# same ones.
#
# ## 3. Mirrored copies
#
# Compare every film with every *mirrored* film. We hide 100 mirrored copies among all
# films, and look for pairs of one film as it is and another one mirrored back.

# %%
copies = [ImageOps.mirror(film) for film in originals]
mixed = np.concatenate([everything, thumbnails(copies)])
both = np.concatenate([mixed, mixed[:, :, ::-1]])
pairs = duplicates.find(pictures.phash(both), both, progress=False)
crossed = {
    (min(one, other % len(mixed)), max(one, other % len(mixed)))
    for one, other, _ in pairs
    if one < len(mixed) <= other
}
first_of_patient = test.drop_duplicates("patient_id").image[: len(originals)]
position = {image: number for number, image in enumerate(table.image)}
planted = {(position[name], len(table) + n) for n, name in enumerate(first_of_patient)}
print(f"{len(planted & crossed)} of {len(planted)} copies found")
print(f"{len(crossed - planted)} pairs of different films accused")

# %% tags=["check"]
assert planted <= crossed and len(crossed - planted) < 5

# %% [markdown]
# `data_tools` does not do this by itself; it is one line more, `mixed[:, :, ::-1]`.
#
# ## 4. Rounded down, or at least one

# %%
for share in (0.05, 0.03):
    hidden = np.sum(data.hide_labels(truth, share, SEED) == 2)
    dealt = train.label.iloc[split.labeled(*everyone, share, SEED)]
    print(f"{share:.0%}: {hidden} and {np.sum(dealt == 'covid-19')}")

# %% tags=["check"]
assert hidden == 0 and np.sum(dealt == "covid-19") == 1

# %% [markdown]
# 5 % of 30 is 1.5 and 3 % is 0.9, rounded down 1 and 0. `split.labeled` keeps at least
# one label of each class; `hide_labels` may leave a class without any, and
# `data.check_labels` warns of it.
#
# ## 5. The recipe of COVID-Net

# %%
share = {2: 0.3}
steps = data.steps_per_epoch(y, B, class_share=share)
stream = data.batches(x, y, B, seed=SEED, class_share=share, with_index=True)
drawn = np.concatenate([index for (_, index), _ in stream.take(steps)])
rare = np.flatnonzero(y == 2)
times = [int(np.sum(drawn == number)) for number in rare]
print(f"{steps} steps; the {len(rare)} film(s) come {times} times")

# %% tags=["check"]
assert sum(times) == steps * int(0.3 * B)
assert steps == -(-(len(x) - len(rare)) // (B - int(0.3 * B)))

# %% [markdown]
# Of 64 places, 19 go to COVID-19 and 45 to all other films, so that an epoch is longer.
# Every other film comes once, or twice at the end, and these three more than two
# hundred times: the network can learn them by heart.
#
# ## 6. A broken shard
#
# A checksum guards every picture. We break a copy of the shards, in the middle of the
# picture of the fourth row (the message counts the line of names, too).

# %%
shutil.rmtree("films-broken", ignore_errors=True)
shutil.copytree(packed.parent, "films-broken")
broken = data.select(data.read_manifest("films-broken"), "train")
with open(broken.path[3], "r+b") as file:
    file.seek(int(broken.offset[3]) + int(broken.length[3]) // 2)
    byte = file.read(1)[0]
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte ^ 1]))
try:
    data.open_pictures(broken, SIZE)[:8]
except ValueError as error:
    print(str(error).replace(os.getcwd() + os.sep, ""))

# %% [markdown]
# One bit differs, and reading stops with the row and the file, in place of learning
# from a picture that nobody has seen.
