"""A recipe turns one image and one seed into views: crop, flip, then the view's strategy.

All randomness of an image comes from its seed, by stateless operations, so the same image and seed
give the same bits in any process and at any parallelism.
"""

import tensorflow as tf

from ssl_tf.settings import ViewSettings
from ssl_tf.views import chains, crops
from ssl_tf.views.ops import OPS, apply_op
from ssl_tf.views.policies import (
    Policy,
    PolicySpace,
    Row,
    autoaugment,
    fast_autoaugment,
    randaugment,
)


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


# The space of strategies that have none: one slot, always the identity.
_NOTHING = PolicySpace([Policy("none", (Row("Identity", 1.0),), slots=1, grouped=False)])


class Recipe:
    """`recipe(image, seed)` -> the views of one image and what was drawn for them.

    It has three parts, which can run in different places: `crop` (with the random numbers of all
    three), `draw` and `augment`.
    """

    def __init__(self, settings: ViewSettings):
        self.settings = settings
        self.strategies = settings.strategies
        spaces = {s: policy_space(s, settings) for s in dict.fromkeys(self.strategies)}
        self.spaces = {strategy: space for strategy, space in spaces.items() if space}
        self.chains = {
            s: chains.chain(s, settings.jitter_strength)
            for s in spaces
            if s not in self.spaces and s != "plain"
        }
        self._slots = max([space.slots for space in self.spaces.values()], default=1)

    def __call__(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor | tuple]:
        """Draws and makes all views.

        Args:
            image: uint8 [H, W, 3], any size.
            seed: int32 or int64 [2].

        Returns:
            What `crop` and `draw` return, "views" with their pixel operations done.
        """
        made = self.crop(image, seed)
        drawn = self.draw(made["uniform"])
        return {**made, **drawn, "views": self.augment(made["views"], drawn)}

    def crop(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor | tuple]:
        """The views without pixel operations, and all random numbers.

        Args:
            image: uint8 [H, W, 3], any size.
            seed: int32 or int64 [2].

        Returns:
            "views": tuple of V uint8 [S, S, 3], cropped, resized and flipped; "rectangles": float32
            [V, 4], ymin, xmin, ymax, xmax of each crop as fractions of the image; "flipped": bool
            [V]; "uniform": float32 [V, numbers], for `draw`.
        """
        height, width = tf.unstack(tf.shape(image)[:2])
        views = len(self.strategies)
        # One call for all views: crop 4, flip 1, the strategy's numbers from there on.
        spaces = (*self.spaces.values(), _NOTHING)
        numbers = max(chains.DRAWS, *(space.draws for space in spaces))
        uniform = tf.random.stateless_uniform([views, 5 + numbers], seed)
        distinct = self.settings.distinct_crops or views
        rectangles = self._rectangles(height, width, uniform[:distinct, :4], seed)
        # The Inception and BYOL crops are resized bicubically, the uniform crop bilinearly, as the
        # code of their authors does.
        method = "bicubic" if self.settings.crop_law in ("inception", "byol") else "bilinear"
        size = self.settings.image_size
        patches = [
            tf.cast(tf.round(crops.crop_and_resize(image, rectangle, size, method)), tf.uint8)
            for rectangle in tf.unstack(rectangles)
        ]
        flipped = uniform[:, 4] < self.settings.flip
        boxes = crops.normalized(rectangles, height, width)
        return {
            "views": tuple(_flip(patches[v % distinct], flipped[v]) for v in range(views)),
            "rectangles": tf.gather(boxes, [v % distinct for v in range(views)]),
            "flipped": flipped,
            "uniform": uniform[:, 5:],
        }

    def draw(self, uniform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turns the random numbers of one image or of a batch into the operations of its views.

        Args:
            uniform: float32 [..., V, numbers], static, as `crop` returns it.

        Returns:
            What `PolicySpace.draw` does, with a dimension V and the slots of the longest space:
            "policy" [..., V], "op", "value", "fill" [..., V, slots], "center" [..., V, slots, 2],
            0 for views without policies; "chain": float32 [..., V, chains.DRAWS].
        """
        parts, order = [], []
        for strategy in dict.fromkeys(self.strategies):
            members = [v for v, other in enumerate(self.strategies) if other == strategy]
            order.extend(members)
            numbers = uniform
            if len(members) < len(self.strategies):
                numbers = tf.gather(uniform, members, axis=-2)
            space = self.spaces.get(strategy, _NOTHING)
            drawn = space.draw(numbers[..., : space.draws])
            parts.append(
                {name: self._padded(name, values, uniform.shape) for name, values in drawn.items()}
            )
        together = parts[0]
        if len(parts) > 1:
            axis = uniform.shape.rank - 2
            places = [order.index(v) for v in range(len(order))]
            together = {
                name: tf.gather(tf.concat([p[name] for p in parts], axis), places, axis=axis)
                for name in together
            }
        return {**together, "chain": uniform[..., : chains.DRAWS]}

    def augment(
        self, views: tuple[tf.Tensor, ...], drawn: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, ...]:
        """The pixel operations of the views of one image, or of a batch of N.

        Args:
            views: V uint8 [S, S, 3], or V [N, S, S, 3].
            drawn: what `draw` returned for the image; of a batch with a dimension N behind those of
                views and slots.

        Returns:
            V uint8 of the same shape.
        """
        # Cut in one node a dimension: one that cuts one slice costs as much as one that cuts all.
        steps = {
            name: [tf.unstack(view) for view in tf.unstack(drawn[name])]
            for name in ("op", "value", "fill", "center")
        }
        made = []
        for v, (strategy, view) in enumerate(zip(self.strategies, views)):
            if strategy in self.chains:
                view = self.chains[strategy](view, drawn["chain"][v])
            if strategy in self.spaces:
                for slot in range(self.spaces[strategy].slots):
                    step = (values[v][slot] for values in steps.values())
                    view = apply_op(view, *step)
            made.append(view)
        return tuple(made)

    def _padded(self, name: str, values: tf.Tensor, shape: tf.TensorShape) -> tf.Tensor:
        """With free slots behind those of a space that has fewer than another."""
        axis = shape.rank - 1
        if name == "policy" or values.shape[axis] == self._slots:
            return values
        paddings = [[0, 0]] * values.shape.rank
        paddings[axis] = [0, self._slots - values.shape[axis]]
        return tf.pad(values, paddings)

    def _rectangles(
        self, height: tf.Tensor, width: tf.Tensor, uniform: tf.Tensor, seed: tf.Tensor
    ) -> tf.Tensor:
        """int32 [C, 4] from float32 [C, 4]."""
        law = self.settings.crop_law
        if law == "uniform":
            return crops.uniform_crop(height, width, uniform[:, :3], self.settings.crop_ratio)
        if law == "byol":
            return crops.byol_crop(height, width, uniform, self.settings.crop_area)
        count = uniform.shape[0]
        if law == "inception":
            # The TF operation draws by itself, from a stream of its own a crop.
            seeds = tf.random.experimental.stateless_split(seed, count)
            area = self.settings.crop_area
            return tf.stack(
                [crops.inception_crop(height, width, seeds[c], area) for c in range(count)]
            )
        return tf.stack([crops.full_crop(height, width)] * count)

    def describe(self, view: int, policy: int, op, value) -> list[str]:
        """What was drawn for one view, a short line each: the strategy, then its operations.

        Args:
            view: index of the view.
            policy, op, value: that view's entries of what the recipe returned, as numpy.
        """
        space = self.spaces.get(self.strategies[view])
        lines = [space.policies[policy].name if space else self.strategies[view]]
        for index, number in zip(op, value):
            if index:
                lines.append(f"{OPS[index].name} {number:.3g}" if number else OPS[index].name)
        return lines


def _flip(view: tf.Tensor, flipped: tf.Tensor) -> tf.Tensor:
    """The mirror image where `flipped`; a reversal costs far less than tf.where on bytes."""
    return tf.ensure_shape(
        tf.cond(flipped, lambda: tf.reverse(view, [1]), lambda: view), view.shape
    )
