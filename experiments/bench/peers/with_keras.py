"""Keras on the JAX backend: `compile`, and `model.fit`. Every run starts from the weights that the first one had."""

import math
import os
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"  # before keras is imported, which reads it once

import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402

from experiments.bench.peers.problem import EPSILON, HEADS, LENGTH, VOCABULARY, WIDTH, Problem  # noqa: E402

layers, initializers = keras.layers, keras.initializers


class System:
    def __init__(self, problem: Problem):
        self.problem = problem
        self.model = {"mlp": mlp, "lenet": lenet, "transformer": transformer}[problem.name](problem.depth)
        adam = keras.optimizers.Adam(problem.rate, epsilon=1e-8)
        adam.build(self.model.trainable_variables)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile(optimizer=adam, loss=loss)
        self.variables = [*self.model.variables, *adam.variables]
        self.start = [np.array(one) for one in self.variables]

    def reset(self, seed: int) -> None:
        for variable, value in zip(self.variables, self.start, strict=True):
            variable.assign(value)
        keras.utils.set_random_seed(seed)

    def train(self) -> None:
        problem = self.problem
        self.model.fit(problem.x, problem.y, batch_size=problem.batch_size, epochs=problem.epochs, verbose=0)
        jax.block_until_ready([variable.value for variable in self.model.trainable_variables])

    def accuracy(self) -> float:
        logits: Any = self.model.predict(self.problem.test_x, verbose=0)
        return float((logits.argmax(-1) == self.problem.test_y).mean())


def mlp(depth: int) -> Any:
    he = lambda features: layers.Dense(features, "relu", kernel_initializer=initializers.HeNormal())
    out = layers.Dense(10, kernel_initializer=initializers.LecunNormal())
    return keras.Sequential([keras.Input((64,)), he(128), he(128), out])


def lenet(depth: int) -> Any:
    dense = lambda features: layers.Dense(features, "relu", kernel_initializer=initializers.HeNormal())
    made: dict[str, Any] = {"activation": "relu", "kernel_initializer": initializers.HeNormal()}
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            *(layers.Conv2D(6, 5, padding="same", **made), layers.MaxPooling2D(2)),
            *(layers.Conv2D(16, 5, **made), layers.MaxPooling2D(2), layers.Flatten()),
            *(dense(120), dense(84), layers.Dense(10, kernel_initializer=initializers.LecunNormal())),
        ]
    )


class Positions(layers.Layer):
    def build(self, input_shape: Any) -> None:
        self.table = self.add_weight(shape=(LENGTH, WIDTH), initializer=initializers.RandomNormal(stddev=0.02))

    def call(self, x: Any) -> Any:
        return x + self.table


def transformer(depth: int) -> Any:
    lecun = lambda features: layers.Dense(features, kernel_initializer=initializers.LecunNormal())
    norm = lambda: layers.LayerNormalization(epsilon=EPSILON)
    limit = math.sqrt(6 / (2 * WIDTH))  # Glorot's, of the whole matrix; Keras would count its axes otherwise
    tokens = keras.Input((LENGTH,), dtype="int32")
    x = layers.Embedding(VOCABULARY, WIDTH, embeddings_initializer=initializers.RandomNormal(stddev=0.02))(tokens)
    x = Positions()(x)
    for _ in range(depth):
        uniform = initializers.RandomUniform(-limit, limit)
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, kernel_initializer=uniform)
        h = norm()(x)
        x = x + attention(h, h, use_causal_mask=True)
        h = keras.activations.gelu(lecun(4 * WIDTH)(norm()(x)), approximate=True)
        x = x + lecun(WIDTH)(h)
    return keras.Model(tokens, lecun(VOCABULARY)(norm()(x)))
