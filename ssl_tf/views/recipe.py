"""A recipe turns one image and one seed into views: crop, flip, then the view's strategy.

All randomness of an image comes from its seed, by stateless operations, so the same image and seed
give the same bits in any process and at any parallelism.
"""

import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views import chains, crops
from ssl_tf.views.ops import OPS, apply_op
from ssl_tf.views.policies import PolicySpace, autoaugment, fast_autoaugment, randaugment


def policy_space(strategy: str, settings: ViewSettings) -> PolicySpace | None:
    """The policies a view of this strategy draws from; None where it has none."""
    meaning = settings.posterize_solarize
    auto = autoaugment(settings.policy_set, meaning)
    fast = fast_autoaugment(settings.policy_set)
    rand = randaugment(
        settings.randaugment_ops, settings.randaugment_magnitude, settings.level_scale, meaning
    )
    spaces = {
        "autoaugment": [auto],
        "fast_autoaugment": [fast],
        "randaugment": [rand],
        # MA-SSRL section 3.2: each view draws its transformations from the three together.
        "integrated": [auto, fast, rand],
    }
    return PolicySpace(spaces[strategy]) if strategy in spaces else None


class Recipe:
    """`recipe(image, seed)` -> the views of one image and what was drawn for them."""

    def __init__(self, settings: ViewSettings):
        self.settings = settings
        self.strategies = settings.strategies
        self._spaces = [policy_space(strategy, settings) for strategy in self.strategies]
        self._slots = max([space.slots for space in self._spaces if space] + [1])

    def __call__(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor | tuple]:
        """Draws and makes all views.

        Args:
            image: uint8 [H, W, 3], any size.
            seed: int32 or int64 [2].

        Returns:
            "views": tuple of V uint8 [S, S, 3]; "rectangles": float32 [V, 4], ymin, xmin, ymax, xmax
            of each crop as fractions of the image; "flipped": bool [V]; "policy": int32 [V], the
            policy drawn (index in the view's space); "op": int32 [V, slots] and "value": float32
            [V, slots], the operations drawn, Identity where none.
        """
        height, width = tf.unstack(tf.shape(image)[:2])
        views = len(self.strategies)
        # One call for all views: crop 4, flip 1, cutout centres 2 a slot, policy the rest.
        draws = 5 + 2 * self._slots + max([space.draws for space in self._spaces if space] + [0])
        uniform = tf.random.stateless_uniform([views, draws], seed)
        distinct = self.settings.distinct_crops or views
        rectangles = [self._crop(height, width, uniform[c], seed, c) for c in range(distinct)]
        # The Inception and BYOL crops are resized bicubically, the uniform crop bilinearly, as the
        # code of their authors does.
        method = "bicubic" if self.settings.crop_law in ("inception", "byol") else "bilinear"
        patches = [
            tf.cast(
                tf.round(crops.crop_and_resize(image, r, self.settings.image_size, method)),
                tf.uint8,
            )
            for r in rectangles
        ]
        made, policies, ops, values = [], [], [], []
        flipped = uniform[:, 4] < self.settings.flip
        for v, strategy in enumerate(self.strategies):
            view = patches[v % distinct]
            view = tf.where(flipped[v], view[:, ::-1], view)
            view, policy, op, value = self._apply(strategy, view, uniform[v, 5:], seed, v)
            made.append(view)
            policies.append(policy)
            ops.append(op)
            values.append(value)
        return {
            "views": tuple(made),
            "rectangles": tf.stack(
                [crops.normalized(rectangles[v % distinct], height, width) for v in range(views)]
            ),
            "flipped": flipped,
            "policy": tf.stack(policies),
            "op": tf.stack(ops),
            "value": tf.stack(values),
        }

    def _crop(
        self, height: tf.Tensor, width: tf.Tensor, uniform: tf.Tensor, seed: tf.Tensor, index: int
    ) -> tf.Tensor:
        law = self.settings.crop_law
        if law == "uniform":
            return crops.uniform_crop(height, width, uniform[:3], self.settings.crop_ratio)
        if law == "byol":
            return crops.byol_crop(height, width, uniform[:4], self.settings.crop_area)
        if law == "inception":
            crop_seed = tf.random.experimental.stateless_fold_in(seed, 2 * index)
            return crops.inception_crop(height, width, crop_seed, self.settings.crop_area)
        return crops.full_crop(height, width)

    def _apply(
        self, strategy: str, view: tf.Tensor, uniform: tf.Tensor, seed: tf.Tensor, index: int
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        space = self._spaces[index]
        if space is None:
            if strategy != "plain":
                # Odd numbers here, even numbers for the crops: the streams never meet.
                chain_seed = tf.random.experimental.stateless_fold_in(seed, 2 * index + 1)
                view = chains.chain(strategy, self.settings.jitter_strength)(view, chain_seed)
            return view, tf.constant(0), tf.zeros([self._slots], tf.int32), tf.zeros([self._slots])
        centres = tf.reshape(uniform[: 2 * self._slots], [self._slots, 2])
        drawn = space.draw(uniform[2 * self._slots :][: space.draws])
        for slot in range(space.slots):
            view = apply_op(
                view, drawn["op"][slot], drawn["value"][slot], drawn["fill"][slot], centres[slot]
            )
            view = tf.ensure_shape(view, (self.settings.image_size, self.settings.image_size, 3))
        padding = [[0, self._slots - space.slots]]
        return view, drawn["policy"], tf.pad(drawn["op"], padding), tf.pad(drawn["value"], padding)

    def describe(self, view: int, policy: int, op, value) -> list[str]:
        """What was drawn for one view, a short line each: the strategy, then its operations.

        Args:
            view: index of the view.
            policy, op, value: that view's entries of what the recipe returned, as numpy.
        """
        space = self._spaces[view]
        lines = [space.policies[policy].name if space else self.strategies[view]]
        for index, number in zip(op, value):
            if index:
                lines.append(f"{OPS[index].name} {number:.3g}" if number else OPS[index].name)
        return lines
