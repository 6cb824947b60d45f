"""The control: what can be told from a film without looking at the lungs?"""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

SIDE = 64  # Larger pictures lose rows and columns first.
DIRECTIONS = 64


def source_only(x_train, y_train, x_test, num_classes, frame=0.15):
    """Class probabilities from the frame of the films alone: borders, corners, markers.

    In public collections classes come from different hospitals, whose films differ in
    borders, markers and exposure. A linear model that sees nothing but a frame, where
    there is hardly any lung, tells how much of a network's score such traces could
    explain. That a network does not use them it cannot tell, nor that the rest of the
    film holds no others.

    Args:
        x_train: uint8 array `(films, height, width, channels)`.
        y_train: Class of each; -1 marks an unlabeled film, left out.
        x_test: uint8 array `(films, height, width, channels)` of the same size.
        num_classes: Number of classes.
        frame: Width of the frame, as a share of the height and of the width.

    Returns:
        Float array of shape `(len(x_test), num_classes)`; 0 for a class without labels.

    Raises:
        ValueError: If the frame is no share between 0 and a half, or fewer than two
            classes have labels.

    Reference:
        Zech et al., "Variable generalization performance of a deep learning model to
        detect pneumonia in chest radiographs" (2018).
    """
    if not 0 < frame < 0.5:
        raise ValueError(
            f"`frame` is a share between 0 and 0.5, such as 0.15. Received: {frame}"
        )
    known = np.asarray(y_train) >= 0
    y = np.asarray(y_train)[known]
    if len(np.unique(y)) < 2:
        raise ValueError("The control needs labeled films of two classes or more.")
    outside = frame_mask(x_train.shape[1:3], frame)
    train, test = (_features(x, outside) for x in (x_train[known], x_test))
    directions = min(DIRECTIONS, len(train) // 2, train.shape[1])
    model = make_pipeline(
        StandardScaler(),
        PCA(max(1, directions), svd_solver="randomized", random_state=0),
        StandardScaler(),
        LogisticRegression(C=0.1, max_iter=1000),
    )
    with threadpool_limits(1):  # The same on every machine.
        found = model.fit(train, y).predict_proba(test)
    probabilities = np.zeros((len(test), num_classes))
    probabilities[:, model.classes_] = found
    return probabilities


def frame_mask(size, frame):
    """Booleans `(height, width)`, true in the frame."""
    height, width = size
    rows, columns = round(frame * height), round(frame * width)
    mask = np.ones(size, bool)
    mask[rows : height - rows, columns : width - columns] = False
    return mask


def _features(x, mask):
    step = -(-max(mask.shape) // SIDE)
    return x[:, ::step, ::step][:, mask[::step, ::step]].reshape(len(x), -1) / 255.0
