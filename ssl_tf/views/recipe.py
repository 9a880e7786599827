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
    """`recipe(image, seed)` -> the views of one image and what was drawn for them.

    `crop` and `augment` are its two halves: the pixel operations of the second can run elsewhere,
    on what the first has drawn.
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
            What `crop` returns, "views" with their pixel operations done.
        """
        made = self.crop(image, seed)
        views = [
            self.augment(strategy, view, drawn)
            for strategy, view, drawn in zip(
                self.strategies, made["views"], self.drawn_by_view(made["drawn"])
            )
        ]
        return {**made, "views": tuple(views)}

    def crop(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor | tuple]:
        """Draws everything, but only crops, resizes and flips.

        Args:
            image: uint8 [H, W, 3], any size.
            seed: int32 or int64 [2].

        Returns:
            "views": tuple of V uint8 [S, S, 3]; "drawn": strategy -> dict of tensors with a leading
            dimension of its views, what `augment` needs; "rectangles": float32 [V, 4], ymin, xmin, ymax, xmax of each crop as fractions of
            the image; "flipped": bool [V]; "policy": int32 [V], the policy drawn (index in the
            view's space); "op": int32 [V, slots] and "value": float32 [V, slots], the operations
            drawn, Identity where none.
        """
        height, width = tf.unstack(tf.shape(image)[:2])
        views = len(self.strategies)
        # One call for all views: crop 4, flip 1, the strategy's numbers from there on.
        numbers = [space.draws for space in self.spaces.values()] + [chains.DRAWS]
        uniform = tf.random.stateless_uniform([views, 5 + max(numbers)], seed)
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
            **self._draw(uniform[:, 5:]),
        }

    def augment(
        self, strategy: str, view: tf.Tensor, drawn: list[dict[str, tf.Tensor]]
    ) -> tf.Tensor:
        """The pixel operations of one view.

        Args:
            strategy: of the view.
            view: uint8 [S, S, 3], cropped.
            drawn: the view's entry of `drawn_by_view`.

        Returns:
            uint8 [S, S, 3].
        """
        if strategy in self.chains:
            return self.chains[strategy](view, drawn[0]["chain"])
        for slot in drawn:
            view = apply_op(view, slot["op"], slot["value"], slot["fill"], slot["center"])
        return view

    def drawn_by_view(
        self, drawn: dict[str, dict[str, tf.Tensor]]
    ) -> list[list[dict[str, tf.Tensor]]]:
        """For each view a list of its steps, each a dict of what was drawn for it."""
        steps = [[] for _ in self.strategies]
        for strategy, numbers in drawn.items():
            members = self._members(strategy)
            if strategy in self.chains:
                parts = {"chain": tf.unstack(numbers["chain"])}
            else:
                # Views and slots as one dimension: a node that cuts one tensor costs as much as one
                # that cuts them all.
                parts = {
                    name: tf.unstack(tf.reshape(numbers[name], [-1, *numbers[name].shape[2:]]))
                    for name in ("op", "value", "fill", "center")
                }
            flat = [dict(zip(parts, values)) for values in zip(*parts.values())]
            each = len(flat) // len(members)
            for m, v in enumerate(members):
                steps[v] = flat[m * each : (m + 1) * each]
        return steps

    def _members(self, strategy: str) -> list[int]:
        return [v for v, other in enumerate(self.strategies) if other == strategy]

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

    def _draw(self, uniform: tf.Tensor) -> dict[str, dict | tf.Tensor]:
        """"drawn", "policy", "op" and "value" of `crop` from float32 [V, draws]."""
        drawn = {}
        for strategy in (*self.spaces, *self.chains):
            members = self._members(strategy)
            numbers = uniform if len(members) == uniform.shape[0] else tf.gather(uniform, members)
            if strategy in self.spaces:
                space = self.spaces[strategy]
                drawn[strategy] = space.draw(numbers[:, : space.draws])
            else:
                drawn[strategy] = {"chain": numbers[:, : chains.DRAWS]}
        names = ("policy", "op", "value")
        return {"drawn": drawn, **{name: self._of_all_views(drawn, name) for name in names}}

    def _of_all_views(self, drawn: dict[str, dict[str, tf.Tensor]], name: str) -> tf.Tensor:
        """One drawn tensor of all views in their order, 0 where a view has none."""
        parts, order = [], []
        for strategy in dict.fromkeys(self.strategies):
            members = self._members(strategy)
            shape = [len(members)] + ([] if name == "policy" else [self._slots])
            dtype = tf.float32 if name == "value" else tf.int32
            part = drawn.get(strategy, {}).get(name)
            part = tf.zeros([len(members)] + [0] * (len(shape) - 1), dtype) if part is None else part
            parts.append(tf.pad(part, [[0, n - known] for n, known in zip(shape, part.shape)]))
            order.extend(members)
        return tf.gather(tf.concat(parts, axis=0), [order.index(v) for v in range(len(order))])

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
    return tf.ensure_shape(tf.cond(flipped, lambda: tf.reverse(view, [1]), lambda: view), view.shape)
