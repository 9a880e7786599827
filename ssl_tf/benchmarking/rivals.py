"""Pipelines of other libraries on the same images, written as their users would write them."""

import functools
import io
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

from ssl_tf.benchmarking.timing import Contender
from ssl_tf.settings import ViewSettings


def contenders(
    names: Sequence[str], encoded: Sequence[bytes], size: int
) -> tuple[list[Contender], dict[str, str]]:
    """The pipelines of the named libraries, two views of `size` pixels an image.

    Args:
        names: of `settings.benchmarking.RIVALS`.
        encoded: the images.
        size: side of a view.

    Returns:
        The contenders, and library -> why it cannot be imported.
    """
    makers = {
        "torchvision": _torchvision,
        "tensorflow_addons": _tensorflow_addons,
        "keras_cv": _keras_cv,
        "tf_models": _tf_models,
    }
    available: list[Contender] = []
    missing: dict[str, str] = {}
    for name in names:
        try:
            available += makers[name](encoded, size)
        # A library that does not fit its dependency fails with RuntimeError or OSError.
        except (ImportError, RuntimeError, OSError) as error:
            missing[name] = str(error).splitlines()[0]
    return available, missing


def _torchvision(encoded: Sequence[bytes], size: int) -> list[Contender]:
    """The Pillow pipelines of torchvision in one worker, like one process of a DataLoader."""
    import torch
    from PIL import Image
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    torch.set_num_threads(1)
    # The taps of its blur underflow; with denormal numbers it takes three times as long.
    torch.set_flush_denormal(True)
    flip, tensor = transforms.RandomHorizontalFlip(), transforms.PILToTensor()
    crop = transforms.RandomResizedCrop(size)
    bicubic = transforms.RandomResizedCrop(size, interpolation=InterpolationMode.BICUBIC)
    colours = transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8)
    blur = transforms.GaussianBlur(2 * (size // 20) + 1, (0.1, 2.0))
    byol = [bicubic, flip, colours, transforms.RandomGrayscale(0.2)]
    late = [transforms.RandomApply([blur], p=0.1), transforms.RandomSolarize(128, p=0.2)]
    pipelines = {
        "crops only": [[crop, flip, tensor]] * 2,
        "RandAugment(2, 9)": [[crop, flip, transforms.RandAugment(2, 9), tensor]] * 2,
        "BYOL recipe": [[*byol, blur, tensor], [*byol, *late, tensor]],
    }

    def start(views: list[Callable]) -> Iterator[int]:
        for content in itertools.cycle(encoded):
            image = Image.open(io.BytesIO(content)).convert("RGB")
            for view in views:
                view(image)
            yield 1

    return [
        Contender(
            f"torchvision, {name}",
            lambda views=[transforms.Compose(steps) for steps in views]: start(views),
        )
        for name, views in pipelines.items()
    ]


def _tensorflow_addons(encoded: Sequence[bytes], size: int) -> list[Contender]:
    """RandAugment of the operations that the MA-SSRL authors' augmentation is built on."""
    import tensorflow as tf
    import tensorflow_addons as tfa

    # Level 9 of 10: factor 1.72, shear 0.27, 27 degrees, a shift of 90 pixels at 224.
    grey = [128] * 3
    operations = [
        tfa.image.equalize,
        lambda x: tfa.image.sharpness(x, 1.72),
        lambda x: tfa.image.shear_x(x, 0.27, grey),
        lambda x: tfa.image.shear_y(x, 0.27, grey),
        lambda x: tfa.image.translate_xy(x, [0.4 * size, 0.0], grey),
        lambda x: tfa.image.translate_xy(x, [0.0, 0.4 * size], grey),
        lambda x: tfa.image.rotate(x, 27 * math.pi / 180, fill_mode="constant", fill_value=128.0),
        lambda x: tfa.image.gaussian_filter2d(x, 2 * (size // 20) + 1, 1.0),
        lambda x: tfa.image.random_hsv_in_yiq(x, 0.1, 0.28, 1.72, 0.28, 1.72),
        lambda x: tfa.image.random_cutout(x[tf.newaxis], 2 * (size // 10))[0],
    ]

    def distort(image: tf.Tensor) -> tf.Tensor:
        for _ in range(2):
            index = tf.random.uniform([], 0, len(operations), tf.int32)
            # Functions, since some of addons' operations ask a tensor in an `if`.
            branches = [functools.partial(tf.function(one), image) for one in operations]
            image = tf.ensure_shape(tf.switch_case(index, branches), (size, size, 3))
        return image

    name = "tensorflow_addons, RandAugment(2, 9)"
    return [_on_the_floor(name, distort, encoded, size)]


def _keras_cv(encoded: Sequence[bytes], size: int) -> list[Contender]:
    import keras_cv

    # The magnitude of keras-cv is from 0 to 1, that of the paper from 0 to 30.
    layer = keras_cv.layers.RandAugment(
        value_range=(0, 255), augmentations_per_image=2, magnitude=9 / 30
    )
    return [_on_the_floor("keras_cv, RandAugment(2, 9)", layer, encoded, size)]


def _tf_models(encoded: Sequence[bytes], size: int) -> list[Contender]:
    from official.vision.ops import augment

    rand = augment.RandAugment(num_layers=2, magnitude=9)
    auto = augment.AutoAugment()
    return [
        _on_the_floor("tf_models, RandAugment(2, 9)", rand.distort, encoded, size),
        _on_the_floor("tf_models, AutoAugment", auto.distort, encoded, size),
    ]


def _on_the_floor(name: str, distort: Callable, encoded: Sequence[bytes], size: int) -> Contender:
    """The floor with `distort`, which takes one uint8 image, applied to each of its two views."""
    from ssl_tf.benchmarking.floor import contender, floor_batches

    return contender(name, floor_batches(encoded, ViewSettings(image_size=size), distort))
