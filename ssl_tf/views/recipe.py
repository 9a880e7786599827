"""A recipe turns one image and one seed into views: crop, flip, then the view's strategy.

With object crops it takes the boxes of the image, too: one is drawn; views 0, 2, ... are cropped in
it, views 1, 3, ... in it or in the dilated box.

Small views (SwAV's multi-crop) stand behind the others, from a random stream of their own: the
others are the same with and without them.

All randomness of an image comes from its seed, by stateless operations, so the same image and seed
give the same bits in any process and at any parallelism.
"""

import tensorflow as tf

from ssl_tf.settings import STRATEGIES, ViewSettings
from ssl_tf.views import chains, crops
from ssl_tf.views.ops import OPS, apply_op
from ssl_tf.views.policies import POLICIES, Policy, PolicySpace, Row
from ssl_tf.views.rectangles import fold_in, object_rectangles, scene_rectangles


def policy_space(strategy: str, settings: ViewSettings) -> PolicySpace:
    """The policies from which a view of this strategy draws."""
    return PolicySpace([POLICIES[name](settings) for name in STRATEGIES[strategy]])


# The space of strategies that have none: one slot, always the identity.
_NOTHING = PolicySpace([Policy("none", (Row("Identity", 1.0),), slots=1, grouped=False)])

# As in `rectangles`: streams of their own.
_PRETEXT, _ORIGINAL, _SMALL = 3, 4, 5


class Recipe:
    """`recipe(image, seed)` -> the views of one image and what was drawn for them.

    It has three parts, which can run in different places: `crop` (with the random numbers of all
    three), `draw` and `augment`.
    """

    def __init__(
        self,
        settings: ViewSettings,
        smallest_areas: tuple[float, float] | None = None,
        with_original: bool = False,
    ):
        """Prepares the tables of the strategies.

        Args:
            settings: what to make.
            smallest_areas: of random resized crops inside boxes and inside dilated boxes, as
                `regions.smallest_areas` finds them; --smallest_area goes before them, and without
                either they are those of scenes.
            with_original: make "original", too, which goes through the parts as one view more.
        """
        self.settings = settings
        self.takes_boxes = settings.object_crops
        self.with_original = with_original
        self._large = len(settings.strategies)
        self.strategies = (*settings.strategies, *settings.small_strategies)
        self._views = len(self.strategies)
        if with_original:
            self.strategies += (settings.strategies[1 % self._large],)
        bounds = smallest_areas or (settings.area[0],) * 2
        self._smallest = (settings.smallest_area,) * 2 if settings.smallest_area else bounds
        used = dict.fromkeys(self.strategies)
        self.spaces = {s: policy_space(s, settings) for s in used if STRATEGIES[s]}
        self.chains = {
            s: chains.chain(s, settings.jitter_strength, settings.blur)
            for s in used
            if s in chains.CHAINS
        }
        self._slots = max([space.slots for space in self.spaces.values()], default=1)

    def __call__(
        self, image: tf.Tensor, seed: tf.Tensor, boxes: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor | tuple]:
        """Draws and makes all views.

        Args:
            image: uint8 [H, W, 3], any size.
            seed: int32 or int64 [2].
            boxes: float32 [n, 4], the proposals, for object crops alone.

        Returns:
            What `crop` and `draw` return, "views" with their pixel operations done; with the
            original, "original" uint8 [S, S, 3], the whole image squashed to the size of a view,
            under the strategy of view 1 with draws of its own.
        """
        made = self.crop(image, seed, boxes)
        drawn = self.draw(made["uniform"])
        views = self.augment(made["views"], drawn)
        original = {"original": views[-1]} if self.with_original else {}
        return {**made, **drawn, "views": views[: self._views], **original}

    def crop(
        self, image: tf.Tensor, seed: tf.Tensor, boxes: tf.Tensor | None = None
    ) -> dict[str, tf.Tensor | tuple]:
        """The views without pixel operations, and all random numbers.

        Args:
            image: uint8 [H, W, 3], any size.
            seed: int32 or int64 [2].
            boxes: float32 [n, 4], the proposals, for object crops alone.

        Returns:
            "views": tuple of V uint8 [S, S, 3], cropped, resized and flipped, the small ones, of a
            side of their own, behind the others, and the original behind them; "rectangles":
            float32 [V, 4], ymin, xmin, ymax, xmax of each crop as fractions of the image;
            "flipped": bool [V]; "uniform": float32 [V, numbers] (one row more for the original),
            for `draw`.

            For object crops "proposal": float32 [4], the box that was drawn, the whole image where
            there is none. For pretext tasks "swapped": bool, a fair coin, whether views 0 and 1
            change their parts of query and key; "rotation": int32, 0..3 with equal chances, quarter
            turns; "original_flipped": bool.
        """
        height, width = tf.unstack(tf.shape(image)[:2])
        views = self._large
        # One call for all views: crop 4, flip 1, the strategy's numbers from there on.
        spaces = (*self.spaces.values(), _NOTHING)
        numbers = max(chains.DRAWS, *(space.draws for space in spaces))
        uniform = tf.random.stateless_uniform([views, 5 + numbers], seed)
        distinct, small = self.settings.distinct_crops or views, self.settings.small_views
        crop_of = [*(v % distinct for v in range(views)), *range(distinct, distinct + small)]
        sizes = [self.settings.image_size] * distinct + [self.settings.small_image_size] * small
        extra = _pretext(seed)
        numbers_of_crops = uniform[:distinct, :4]
        if self.takes_boxes:
            rectangles, extra["proposal"] = object_rectangles(
                self.settings, self._smallest, height, width, boxes, numbers_of_crops, seed
            )
        else:
            rectangles = scene_rectangles(
                self.settings, height, width, numbers_of_crops, seed, self.settings.area
            )
        if small:
            own_seed = fold_in(seed, _SMALL)
            own = tf.random.stateless_uniform([small, 5 + numbers], own_seed)
            smaller = scene_rectangles(
                self.settings, height, width, own[:, :4], own_seed, self.settings.small_area
            )
            rectangles = tf.concat([rectangles, smaller], axis=0)
            uniform = tf.concat([uniform, own], axis=0)
        # The Inception and BYOL crops are resized bicubically, the uniform crop bilinearly, as the
        # code of their authors does.
        method = "bicubic" if self.settings.crop_law in ("inception", "byol") else "bilinear"
        patches = [
            crops.crop_and_resize(image, rectangle, size, method)
            for rectangle, size in zip(tf.unstack(rectangles), sizes)
        ]
        flipped = uniform[:, 4] < self.settings.flip
        made = tuple(_flip(patches[crop], flipped[v]) for v, crop in enumerate(crop_of))
        fractions = crops.normalized(rectangles, height, width)
        if self.with_original:
            own = tf.random.stateless_uniform([1, 5 + numbers], fold_in(seed, _ORIGINAL))
            extra["original_flipped"] = own[0, 4] < self.settings.flip
            whole = crops.crop_and_resize(
                image, crops.full_crop(height, width), self.settings.image_size, method
            )
            made += (_flip(whole, extra["original_flipped"]),)
            uniform = tf.concat([uniform, own], axis=0)
        return {
            "views": made,
            "rectangles": tf.gather(fractions, crop_of),
            "flipped": flipped,
            "uniform": uniform[:, 5:],
            **extra,
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
            views: V uint8 [S, S, 3], or V [N, S, S, 3], each of its own side.
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

    def describe(self, view: int, policy: int, op, value) -> list[str]:
        """What was drawn for one view, a short line each: the strategy, then its operations.

        A small view's strategy is followed by its side.

        Args:
            view: index of the view.
            policy, op, value: that view's entries of what the recipe returned, as numpy.
        """
        space = self.spaces.get(self.strategies[view])
        lines = [space.policies[policy].name if space else self.strategies[view]]
        if self._large <= view < self._views:
            lines[0] += f", {self.settings.small_image_size} px"
        for index, number in zip(op, value):
            if index:
                lines.append(f"{OPS[index].name} {number:.3g}" if number else OPS[index].name)
        return lines


def _flip(view: tf.Tensor, flipped: tf.Tensor) -> tf.Tensor:
    """The mirror image where `flipped`; a reversal costs far less than tf.where on bytes."""
    return tf.ensure_shape(
        tf.cond(flipped, lambda: tf.reverse(view, [1]), lambda: view), view.shape
    )


def _pretext(seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """The draws of pretext tasks; a recipe of which they are not asked does not compute them."""
    uniform = tf.random.stateless_uniform([2], fold_in(seed, _PRETEXT))
    return {"swapped": uniform[0] < 0.5, "rotation": tf.cast(4 * uniform[1], tf.int32)}
