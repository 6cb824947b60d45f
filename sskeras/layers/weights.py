"""Setting the weights of a model."""

import keras


def set_weights(model, weights):
    """Sets the weights of a model, as `model.set_weights` does, but completely.

    A `keras.layers.Normalization` computes with a copy of its weights, which Keras
    leaves as it was.
    """
    model.set_weights(weights)
    _finalize(model)


def _finalize(model):
    for layer in model.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
        elif isinstance(layer, keras.Model):
            _finalize(layer)
