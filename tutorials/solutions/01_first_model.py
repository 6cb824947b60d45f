# %% [markdown]
# # Solutions to [lesson 1](../01_first_model.ipynb)
#
# First everything of the lesson, films, labels and trained networks. About 3 minutes.

# %%
# %%capture
import os

os.chdir("..")
# %run -i 01_first_model.py

# %% [markdown]
# ## 1. A quarter of the labels
#
# 5 % of 30 is 1.5, and the number is rounded down: one COVID-19 film is labeled. Both
# accuracies fall by ten points and more, below their intervals of the lesson.

# %%
y = data.hide_labels(truth, 0.05, SEED)
print(int(np.sum(y == 2)), "COVID-19 film(s) labeled")


def accuracy(model):
    seen = model.predict(x_test, verbose=0).argmax(-1)
    return np.average(seen == y_test, weights=test.weight)


def new_supervised(seed=SEED, weight=2):
    keras.utils.set_random_seed(seed)
    network = networks.resnet((SIZE, SIZE, 1), num_classes=3, filters=(8, 16))
    model = methods.Supervised(network, class_weight=(1, 1, weight))
    fit(model)
    return model


def new_ssresnet():
    keras.utils.set_random_seed(SEED)
    network = networks.two_path_resnet((SIZE, SIZE, 1), num_classes=3, filters=(8, 16))
    model = methods.SSResNet(
        network, class_weight=(1, 1, 2), consistency_space="probabilities"
    )
    fit(model)
    return model


few = {"supervised": accuracy(new_supervised()), "ssresnet": accuracy(new_ssresnet())}
many = {"supervised": accuracy(supervised), "ssresnet": accuracy(ssresnet)}
for name in few:
    print(f"{name:11} 20 %: {100 * many[name]:.1f}   5 %: {100 * few[name]:.1f}")

# %% tags=["check"]
assert np.sum(y == 2) == int(0.05 * np.sum(truth == 2))

# %% [markdown]
# ## 2. A large class weight
#
# From 2 to 20 the weight multiplies the six films' part of the loss by ten, and 100 by
# fifty. Look at all three recalls: what COVID-19 gains, others pay for, at 20 pneumonia
# alone.

# %%
y = data.hide_labels(truth, SHARE, SEED)
for weight in (2,) if FAST else (2, 20, 100):
    seen = new_supervised(weight=weight).predict(x_test, verbose=0).argmax(-1)
    recall = [np.mean(seen[y_test == c] == c) for c in range(3)]
    named = zip(classes, recall, strict=True)
    print(weight, ", ".join(f"{name} {100 * r:.0f} %" for name, r in named))

# %% [markdown]
# ## 3. Three seeds
#
# The interval of the lesson, 7 points wide, holds the choice of patients; it does not hold
# the seed, here the initial weights and the dropout. The seed alone moves the accuracy by
# nearly as much, as you will see. Lesson 7 puts both together.

# %%
found = [accuracy(new_supervised(seed)) for seed in ((1,) if FAST else (1, 2, 3))]
print([f"{100 * a:.1f}" for a in found])
print(f"from lowest to highest: {100 * (max(found) - min(found)):.1f} points")

# %% [markdown]
# ## 4. Two SavedModels, one film

# %%
shutil.rmtree("saved_model-supervised", ignore_errors=True)
sskeras.export.saved_model(supervised, "saved_model-supervised")
film = test[test.label == "covid-19"].path.iloc[0]
with open(film, "rb") as file:
    encoded = tf.constant([file.read()])
for folder in ("saved_model-supervised", "saved_model"):
    answer = tf.saved_model.load(folder).serve_bytes(encoded)
    print(folder, answer["prediction"][0].numpy(), answer["probabilities"][0].numpy())
