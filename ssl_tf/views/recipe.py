"""A recipe turns one image and one seed into views: crop, flip, then the strategy of the view.

With object crops the recipe also takes the boxes of the image and draws one. Views 0, 2, ... are
cropped in that box, views 1, 3, ... in the same box or in the dilated one.

Small views (SwAV's multi-crop) follow the others. They have a separate random stream, so the others
are the same with and without them.

All randomness of an image comes from its seed through stateless operations. The same image and seed
therefore give the same bits in any process and at any parallelism.
"""

import tensorflow as tf

from ssl_tf.settings import STRATEGIES, ViewSettings
from ssl_tf.views import chains, crops
from ssl_tf.views.canvases import crops_on_canvas, fitted
from ssl_tf.views.ops import OPS, apply_op
from ssl_tf.views.policies import POLICIES, Policy, PolicySpace, Row
from ssl_tf.views.rectangles import fold_in, object_rectangles, scene_rectangles


def policy_space(strategy: str, settings: ViewSettings) -> PolicySpace:
    """The policies from which a view of this strategy draws."""
    return PolicySpace([POLICIES[name](settings) for name in STRATEGIES[strategy]])


# The space of strategies without policies: one slot, always the identity.
_NOTHING = PolicySpace([Policy("none", (Row("Identity", 1.0),), slots=1, grouped=False)])

# Separate random streams, numbered on from those of `rectangles`.
_PRETEXT, _ORIGINAL, _SMALL = 3, 4, 5


class Recipe:
    """`recipe(image, seed)` -> the views of one image and what was drawn for them.

    Its parts can run in different places: `place` draws the random numbers of all, the views are
    cut (`crop` does both), `draw` chooses the operations, and `augment` applies them.

    Attributes:
        strategies: of the views, the small ones and the original included.
        crop_of_views: the crop of each of them, numbered from 0.
        sizes: the side in pixels to which each crop is resized.
        smallest_areas: of random resized crops in boxes and in dilated boxes, as a share of them.
    """

    def __init__(
        self,
        settings: ViewSettings,
        smallest_areas: tuple[float, float] | None = None,
        with_original: bool = False,
        side: int | None = None,
    ):
        """Prepares the tables of the strategies.

        Args:
            settings: the flags of the views.
            smallest_areas: smallest area of random resized crops inside boxes and inside dilated
                boxes, from `regions.smallest_areas`. --smallest_area takes precedence. Without
                either, the smallest area is that of scenes.
            with_original: whether to make "original", which passes the parts as one more view.
            side: of canvases; an image that is longer is cut as its smaller copy there is. None:
                images are cut themselves.
        """
        self._side = side
        self.settings = settings
        self.takes_boxes = settings.object_crops
        self.with_original = with_original
        self._large = len(settings.strategies)
        self.strategies = (*settings.strategies, *settings.small_strategies)
        self._views = len(self.strategies)
        self._distinct = len(set(settings.crop_of_views))
        small = settings.small_views
        # The crop of each view, and the side that each crop is resized to.
        self.crop_of_views = [
            *settings.crop_of_views,
            *range(self._distinct, self._distinct + small),
        ]
        self.sizes = [settings.image_size] * self._distinct + [settings.small_image_size] * small
        if with_original:
            self.strategies += (settings.strategies[1 % self._large],)
            self.crop_of_views.append(len(self.sizes))
            self.sizes.append(settings.image_size)
        bounds = smallest_areas or (settings.area[0],) * 2
        self.smallest_areas = (settings.smallest_area,) * 2 if settings.smallest_area else bounds
        used = dict.fromkeys(self.strategies)
        self.spaces = {s: policy_space(s, settings) for s in used if STRATEGIES[s]}
        self.chains = {
            s: chains.chain(s, settings.jitter_strength, settings.blur, settings.library)
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
            boxes: float32 [n, 4], the proposals; only for object crops.

        Returns:
            What `crop` and `draw` return, with the pixel operations applied to "views".
            "original" (with `with_original`): uint8 [S, S, 3], the whole image resized to the size
            of a view, under the strategy of view 1 with separate draws.
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
            boxes: float32 [n, 4], the proposals; only for object crops.

        Returns:
            What `place` returns, and "views": tuple of V uint8 [S, S, 3], cropped, resized and
            flipped. The small views follow the others and have a smaller side; the original comes
            last.
        """
        height, width = tf.unstack(tf.shape(image)[:2])
        placed = self.place(height, width, seed, boxes)
        cut, crops_drawn = image, placed["crops"]
        if self._side is not None:
            cut = fitted(image, self._side)
            crops_drawn = crops_on_canvas(crops_drawn, tf.shape(image)[:2], tf.shape(cut)[:2])
        return {"views": self._cut(cut, crops_drawn, placed["mirrored"]), **placed}

    def place(
        self,
        height: tf.Tensor,
        width: tf.Tensor,
        seed: tf.Tensor,
        boxes: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Draws where the views of an image lie, and all other random numbers; reads no pixel.

        Args:
            height, width: int32 scalars, of the image.
            seed: int32 or int64 [2].
            boxes: float32 [n, 4], the proposals; only for object crops.

        Returns:
            A dict.
            "crops": int32 [C, 4], top, left, height, width in pixels of the distinct crops, of the
            small ones and of the original.
            "mirrored": bool, whether each view is flipped, the original included.
            "rectangles": float32 [V, 4], ymin, xmin, ymax, xmax of each crop as fractions of the
            image.
            "flipped": bool [V].
            "uniform": float32 [V, numbers], for `draw`; the original has one more row.
            "proposal" (object crops): float32 [4], the drawn box; the whole image without boxes.
            "swapped" (pretext tasks): bool, a fair coin, whether views 0 and 1 swap the roles of
            query and key.
            "rotation" (pretext tasks): int32, 0..3 with equal chances, quarter turns.
            "original_flipped" (with the original): bool.
        """
        views, small = self._large, self.settings.small_views
        # One call for all views: four numbers for the crop, one for the flip, then the strategy's.
        spaces = (*self.spaces.values(), _NOTHING)
        numbers = max(chains.DRAWS, *(space.draws for space in spaces))
        uniform = tf.random.stateless_uniform([views, 5 + numbers], seed)
        extra = _pretext(seed)
        numbers_of_crops = uniform[: self._distinct, :4]
        if self.takes_boxes:
            crops_drawn, extra["proposal"] = object_rectangles(
                self.settings, self.smallest_areas, height, width, boxes, numbers_of_crops, seed
            )
        else:
            crops_drawn = scene_rectangles(
                self.settings, height, width, numbers_of_crops, seed, self.settings.area
            )
        if small:
            own_seed = fold_in(seed, _SMALL)
            own = tf.random.stateless_uniform([small, 5 + numbers], own_seed)
            smaller = scene_rectangles(
                self.settings, height, width, own[:, :4], own_seed, self.settings.small_area
            )
            crops_drawn = tf.concat([crops_drawn, smaller], axis=0)
            uniform = tf.concat([uniform, own], axis=0)
        flipped = mirrored = uniform[:, 4] < self.settings.flip
        fractions = crops.normalized(crops_drawn, height, width)
        if self.with_original:
            own = tf.random.stateless_uniform([1, 5 + numbers], fold_in(seed, _ORIGINAL))
            extra["original_flipped"] = own[0, 4] < self.settings.flip
            mirrored = tf.concat([flipped, [extra["original_flipped"]]], axis=0)
            whole = crops.full_crop(height, width)
            crops_drawn = tf.concat([crops_drawn, [whole]], axis=0)
            uniform = tf.concat([uniform, own], axis=0)
        return {
            "crops": crops_drawn,
            "mirrored": mirrored,
            "rectangles": tf.gather(fractions, self.crop_of_views[: self._views]),
            "flipped": flipped,
            "uniform": uniform[:, 5:],
            **extra,
        }

    def _cut(
        self, image: tf.Tensor, crops_drawn: tf.Tensor, mirrored: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """The views of one image, cut as `place` says: uint8 [S, S, 3] each."""
        kernel = (self.settings.interpolation, self.settings.library)
        patches = [
            crops.crop_and_resize(image, rectangle, size, *kernel)
            for rectangle, size in zip(tf.unstack(crops_drawn), self.sizes)
        ]
        flips = tf.unstack(mirrored)
        return tuple(_flip(patches[crop], flips[v]) for v, crop in enumerate(self.crop_of_views))

    def draw(self, uniform: tf.Tensor) -> dict[str, tf.Tensor]:
        """Turns the random numbers of one image or of a batch into the operations of its views.

        Args:
            uniform: float32 [..., V, numbers] of static shape, from `crop`.

        Returns:
            The dict of `PolicySpace.draw`, with a dimension V and the slots of the longest space:
            "policy" [..., V], "op", "value" and "fill" [..., V, slots], "center"
            [..., V, slots, 2]; all 0 for views without policies.
            "chain": float32 [..., V, chains.DRAWS], the numbers of the colour chains.
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
        """Applies the pixel operations to the views of one image, or of a batch of N.

        Args:
            views: V uint8 [S, S, 3] or V [N, S, S, 3]; the side S may differ between views.
            drawn: what `draw` returned for the image. For a batch, a dimension N follows those of
                views and slots.

        Returns:
            V uint8 of the same shape.
        """
        # One unstack a dimension: it costs as much as a node that takes a single slice.
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
        """Appends identity slots to the draws of a space with fewer slots than the longest."""
        axis = shape.rank - 1
        if name == "policy" or values.shape[axis] == self._slots:
            return values
        paddings = [[0, 0]] * values.shape.rank
        paddings[axis] = [0, self._slots - values.shape[axis]]
        return tf.pad(values, paddings)

    def describe(self, view: int, policy: int, op, value, chain=()) -> list[str]:
        """Describes the draws of one view in short lines: the strategy, then the operations.

        The line of the strategy also gives the side of a small view.

        Args:
            view: index of the view.
            policy, op, value, chain: the entries of that view in the recipe's result, as numpy;
                without those of the chain its steps are left out.
        """
        space = self.spaces.get(self.strategies[view])
        lines = [space.policies[policy].name if space else self.strategies[view]]
        if self._large <= view < self._views:
            lines[0] += f", {self.settings.small_image_size} px"
        for index, number in zip(op, value):
            if index:
                lines.append(f"{OPS[index].name} {number:.3g}" if number else OPS[index].name)
        if len(chain) and self.strategies[view] in self.chains:
            lines += self.chains[self.strategies[view]].describe(chain)
        return lines


def _flip(view: tf.Tensor, flipped: tf.Tensor) -> tf.Tensor:
    """Mirrors the view if `flipped`; a reversal costs far less than tf.where on bytes."""
    return tf.ensure_shape(
        tf.cond(flipped, lambda: tf.reverse(view, [1]), lambda: view), view.shape
    )


def _pretext(seed: tf.Tensor) -> dict[str, tf.Tensor]:
    """The draws of pretext tasks; TensorFlow prunes them from graphs that do not use them."""
    uniform = tf.random.stateless_uniform([2], fold_in(seed, _PRETEXT))
    return {"swapped": uniform[0] < 0.5, "rotation": tf.cast(4 * uniform[1], tf.int32)}
