"""What a pre-training says at its start of its images, views and steps."""

import sys

from ssl_tf.pretraining.inputs import cut_side
from ssl_tf.pretraining.opened_images import Images
from ssl_tf.settings import PretrainSettings, ViewSettings
from ssl_tf.training.plan import Plan
from ssl_tf.views.recipe import Recipe


def announce(
    settings: PretrainSettings,
    images: Images,
    recipe: Recipe,
    plan: Plan,
    replicas: int,
    origin: str,
) -> None:
    """Says on stderr what is about to be trained, and what the flags alone do not tell of it.

    Args:
        settings: of the run.
        images: of the run.
        recipe: of the views.
        plan: of the run.
        replicas: that train.
        origin: where the first weights are from, in words.
    """
    views, source = settings.views, images.source
    side = cut_side(views, source)
    if side is not None and (source.largest_side is None or source.largest_side > side):
        _say(
            f"--augment_on=device: of images longer than {side} pixels (--canvas), smaller copies "
            f"are cut into views: JPEGs of up to {2 * side} pixels are halved"
        )
    if views.object_crops:
        if views.crop_law == "random_resized":
            _say(_shares_of_boxes(views, recipe))
        crops = "object crops"
        if images.as_scenes:
            proposals = settings.data.proposals
            crops = f"scene crops, since {proposals} is of the training images; see --holdout"
        _say(f"monitors: the views of {images.monitored.name} are {crops}")
    if images.held_out is None:
        _say(
            "monitors: they look at training images, and there is no kNN; --holdout=N gives them "
            "others"
        )
    _say(
        f"{source.name}: {source.size} images, {plan.total_steps} steps of {plan.batch_size} on "
        f"{replicas} replica(s), {settings.model.method} with views of {views.recipe}, {origin}, "
        f"in {settings.run.run_dir}"
    )


def _shares_of_boxes(views: ViewSettings, recipe: Recipe) -> str:
    """How much of a box a random resized crop covers, which the boxes decide."""
    boxes, dilated = (f"{area:.0%}" for area in recipe.smallest_areas)
    around = f", of a dilated one {dilated}" if views.crops == "object_dilated" else ""
    return f"crops cover {boxes} of a box or more{around} (--smallest_area)"


def _say(line: str) -> None:
    print(line, file=sys.stderr)
