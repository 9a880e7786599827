"""Multinomial logistic regression with an L2 penalty: the classifier of the transfer protocol.

The solver is SciPy's L-BFGS (`scipy.optimize.minimize`, "L-BFGS-B" without bounds). TensorFlow
computes the objective and its gradient in blocks of rows, in the dtype of the features.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.optimize
import tensorflow as tf

from ssl_tf.errors import warn
from ssl_tf.networks.precision import full_float32

# Kornblith et al. 2019, as SimCLR B.8 and BYOL D.2 restate it: 45 values from 1e-6 to 1e5.
PENALTIES = tuple(float(penalty) for penalty in np.logspace(-6, 5, 45))

_BLOCK = 8192
# Gradient of the mean loss, in coordinates in which its curvature is about 1.
_GRADIENT_TOLERANCE = 1e-6
# A step with a smaller relative gain is rounding.
_GAIN_TOLERANCE = {np.dtype(np.float32): 1e-9, np.dtype(np.float64): 1e-14}

Examples = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Classifier:
    """A fitted linear classifier of C classes.

    Attributes:
        weights: float64 [D, C].
        bias: float64 [C].
        penalty: lambda of the fit.
        converged: whether the fit ended before the limit of iterations.
    """

    weights: np.ndarray
    bias: np.ndarray
    penalty: float
    converged: bool

    def scores(self, features: np.ndarray) -> np.ndarray:
        """The scores of features: float [N, D] -> float64 [N, C]."""
        return np.concatenate([block @ self.weights + self.bias for block in _blocks(features)])


class LogisticRegression:
    """Logistic regression on one set of examples.

    The objective is sum_i CE_i + lambda / 2 |W|^2: the *sum* of the cross-entropies, and a bias
    without penalty. That is scikit-learn's LogisticRegression at C = 1 / lambda, times lambda. The
    papers do not say whether they take the sum or the mean. Their reimplementation (Ericsson et al.
    2021) uses scikit-learn.

    The objective is badly conditioned in the features of a network: L-BFGS would take thousands of
    iterations. It therefore works after an exact change of variables. Features are centred, which
    only shifts the bias. They are rotated to their principal axes, which keeps |W|. Each axis is
    divided by the square root of its curvature at chance, penalty included.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, num_classes: int):
        """Centres and rotates a copy of the features, which is kept in memory.

        Args:
            features: float32 or float64 [N, D], finite.
            labels: [N] integer in [0, num_classes).
            num_classes: C.
        """
        self._size, self._classes = len(features), num_classes
        self._dtype = features.dtype
        self._mean = np.mean(features, axis=0, dtype=np.float64)
        scatter = np.zeros((features.shape[1],) * 2)
        for block in self._centred(features):
            scatter += block.T @ block
        spread, self._axes = np.linalg.eigh(scatter / self._size)
        self._spread = np.maximum(spread, 0)
        rotation = self._axes.astype(self._dtype)
        self._examples = [
            (tf.constant(block @ rotation), tf.constant(targets, tf.int32))
            for block, targets in zip(self._centred(features), _blocks(labels))
        ]

    def fit(
        self, penalty: float, start: Classifier | None = None, max_iterations: int = 1000
    ) -> Classifier:
        """The minimum at one lambda above 0.

        Args:
            penalty: lambda.
            start: first point of the search; None: zeros.
            max_iterations: limit of iterations, at which the fit ends with `converged` False.
        """
        shape = len(self._mean), self._classes
        weights, bias = np.zeros(shape), np.zeros(shape[1])
        if start is not None:
            weights, bias = self._rotate(start.weights, start.bias)
        curvature = self._spread * (1 - 1 / shape[1]) / shape[1] + penalty / self._size
        scale = 1 / np.sqrt(curvature)[:, None]

        def value_and_gradient(variables: np.ndarray) -> tuple[float, np.ndarray]:
            scaled, bias = _split(variables, shape)
            weights = scale * scaled
            loss, by_weights, by_bias = self._mean_loss(weights, bias)
            loss += penalty / (2 * self._size) * np.sum(weights**2)
            by_weights += penalty / self._size * weights
            return loss, np.concatenate([(scale * by_weights).ravel(), by_bias])

        solution = scipy.optimize.minimize(
            value_and_gradient,
            np.concatenate([(weights / scale).ravel(), bias]),
            method="L-BFGS-B",
            jac=True,
            options={
                "maxiter": max_iterations,
                "maxfun": 2 * max_iterations + 20,
                "gtol": _GRADIENT_TOLERANCE,
                "ftol": _GAIN_TOLERANCE[self._dtype],
            },
        )
        scaled, bias = _split(solution.x, shape)
        weights = self._axes @ (scale * scaled)
        return Classifier(
            weights,
            bias - self._mean @ weights,
            penalty,
            # Status 2: rounding ended the search, as near to the minimum as the dtype allows.
            solution.status != 1,
        )

    def _centred(self, features: np.ndarray) -> Iterator[np.ndarray]:
        for block in _blocks(features):
            yield (block - self._mean).astype(self._dtype)

    def _rotate(self, weights: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same classifier for the centred and rotated features."""
        return self._axes.T @ weights, bias + self._mean @ weights

    def _mean_loss(
        self, weights: np.ndarray, bias: np.ndarray
    ) -> tuple[float, np.ndarray, np.ndarray]:
        """The mean cross-entropy of the rotated features, and its gradient; float64."""
        weights, bias = tf.constant(weights, self._dtype), tf.constant(bias, self._dtype)
        loss, by_weights, by_bias = 0.0, 0.0, 0.0
        with full_float32():
            for features, labels in self._examples:
                parts = _loss_of_block(features, labels, weights, bias)
                loss += float(parts[0])
                by_weights += parts[1].numpy().astype(np.float64)
                by_bias += parts[2].numpy().astype(np.float64)
        return loss / self._size, by_weights / self._size, by_bias / self._size


@dataclasses.dataclass(frozen=True)
class Choice:
    """The result of a sweep over lambda.

    Attributes:
        classifier: of the chosen lambda, fitted to train and validation examples together.
        validation: lambda -> metric on the validation examples, in the order of the fits.
        stopped: lambdas whose fit ended at the limit of iterations, the final fit included.
    """

    classifier: Classifier
    validation: dict[float, float]
    stopped: tuple[float, ...]


def choose_classifier(
    train: Examples,
    validation: Examples,
    num_classes: int,
    metric: Callable[[np.ndarray, np.ndarray], float],
    *,
    name: str,
    penalties: Sequence[float],
    max_iterations: int,
) -> Choice:
    """Fits every lambda, chooses the best on validation examples, and refits it on all examples.

    The fits go from the largest lambda down, and each starts where the one before ended. Among
    equals the larger lambda is chosen. Fits that end at the limit of iterations are reported on
    stderr.

    Args:
        train, validation: features, finite float [N, D], and integer labels [N], of the same
            classes.
        num_classes: C.
        metric: (scores [N, C], labels [N]) -> number; higher is better.
        name: of the data set, for messages.
        penalties: lambdas, above 0.
        max_iterations: limit of each fit.
    """
    regression = LogisticRegression(*train, num_classes)
    by_penalty: dict[float, float] = {}
    best, last, stopped = None, None, []
    for penalty in sorted(penalties, reverse=True):
        last = regression.fit(penalty, last, max_iterations)
        if not last.converged:
            stopped.append(penalty)
        by_penalty[penalty] = metric(last.scores(validation[0]), validation[1])
        if best is None or by_penalty[penalty] > by_penalty[best.penalty]:
            best = last
    del regression  # frees its memory before the next one takes as much
    both = (np.concatenate(parts) for parts in zip(train, validation))
    classifier = LogisticRegression(*both, num_classes).fit(best.penalty, best, max_iterations)
    if not classifier.converged:
        stopped.append(classifier.penalty)
    if stopped:
        lambdas = ", ".join(f"{penalty:.3g}" for penalty in dict.fromkeys(stopped))
        warn(
            f"{name}: L-BFGS was stopped at --max_iterations={max_iterations} before it "
            f"converged, at lambda {lambdas}; the chosen one is {best.penalty:.3g}"
        )
    return Choice(classifier, by_penalty, tuple(stopped))


@tf.function(reduce_retracing=True, autograph=False)
def _loss_of_block(
    features: tf.Tensor, labels: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The sum of the cross-entropies, float64, and its gradient in the dtype of the features."""
    log_shares = tf.nn.log_softmax(features @ weights + bias)
    own = tf.gather(log_shares, labels, batch_dims=1)
    excess = tf.exp(log_shares) - tf.one_hot(labels, tf.size(bias), dtype=features.dtype)
    by_weights = tf.matmul(features, excess, transpose_a=True)
    return -tf.reduce_sum(tf.cast(own, tf.float64)), by_weights, tf.reduce_sum(excess, axis=0)


def _split(variables: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return variables[: -shape[1]].reshape(shape), variables[-shape[1] :]


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), _BLOCK):
        yield rows[start : start + _BLOCK]
