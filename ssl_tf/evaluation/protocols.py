"""The data sets of transfer learning, with their splits, metrics and pitfalls."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ssl_tf.errors import UserError
from ssl_tf.settings import DataSettings, ReadingSettings

# The table of several runs reads the titles here, and needs no TensorFlow for it.
if TYPE_CHECKING:
    from ssl_tf.data.source import Source
    from ssl_tf.evaluation.finetuning import LabelledImages

# Seed of the held-out images, which are the same in every run. It is part of the protocol, so
# there is no flag.
_SPLIT_SEED = 0


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The evaluation on a data set, by BYOL's Table 10 (splits, sizes, metric) if it is there.

    Logistic regression (SimCLR B.8) resizes the short side to the encoder's image size, bicubic,
    and takes the centre square; nothing is random. Fine-tuning (BYOL D.3) trains on random crops
    and flips. It tests on the centre square of images whose short side is 256 / 224 of the size.
    The published size is 224; an encoder of small images keeps the size of its views. Grey images
    are repeated to three channels.

    Attributes:
        title: heading in tables.
        dataset: `name` or `name/config` of TFDS.
        sizes: published numbers of train, validation and test images.
        validation: validation split; empty: images held out of train.
        held_out: number of held-out images, drawn from all classes together; 0 with
            `held_out_per_class`.
        held_out_per_class: number of held-out images of each class.
        test: test split.
        metric: one of `score_figures`, for the choice and the report.
    """

    title: str
    dataset: str
    sizes: tuple[int, int, int]
    validation: str = ""
    held_out: int = 0
    held_out_per_class: int = 0
    test: str = "test"
    metric: str = "top1"

    def open(self, reading: ReadingSettings) -> dict[str, Source]:
        """The splits of the data set: train, test, all images to learn from as "whole".

        Where the validation images are a split, they are "validation". No record is read.

        Raises:
            NotPrepared: the data set is not prepared.
            UserError: it is damaged, or has no labels.
        """
        splits = {"train": "train", "test": self.test}
        if self.validation:
            splits |= {"validation": self.validation, "whole": f"train+{self.validation}"}
        sources = {part: self._split(split, reading) for part, split in splits.items()}
        sources = {"whole": sources["train"], **sources}
        for source in sources.values():
            source.count_unreadable_with(sources["whole"])
        return sources

    def images(self, splits: Mapping[str, Source]) -> LabelledImages:
        """The images: train, validation, the two together, and test.

        Args:
            splits: of `open`.

        Raises:
            UserError: there are too few images to hold some out.
        """
        from ssl_tf.data.labels import read_annotations
        from ssl_tf.evaluation.finetuning import LabelledImages

        if self.validation:
            return LabelledImages(**splits)
        whole = splits["whole"]
        is_held_out = self.draw_held_out(read_annotations(whole)[1], whole)
        count = is_held_out.sum()
        return LabelledImages(
            train=whole.part(~is_held_out, f"{whole.name} without {count} held out"),
            test=splits["test"],
            validation=whole.part(is_held_out, f"{whole.name}, {count} held out"),
            whole=whole,
        )

    def draw_held_out(self, labels: np.ndarray, source: Source) -> np.ndarray:
        """The mask of the train images that are held out, bool [N], the same at every call.

        Args:
            labels: of all train images, [N] integer.
            source: of the train images.

        Raises:
            UserError: no image of a class would be left.
        """
        is_held_out = np.zeros(len(labels), bool)
        if self.held_out:
            pools = {None: (np.arange(len(labels)), self.held_out, [_SPLIT_SEED])}
        else:
            pools = {
                kind: (np.flatnonzero(labels == kind), self.held_out_per_class, [_SPLIT_SEED, kind])
                for kind in range(source.num_classes)
            }
        for kind, (members, count, seed) in pools.items():
            if count >= len(members):
                of_class = "" if kind is None else f" of class {kind}"
                raise UserError(
                    f"{source.name} has {len(members)} images{of_class}, of which the protocol "
                    f"holds out {count}; complete the data"
                )
            is_held_out[np.random.default_rng(seed).permutation(members)[:count]] = True
        return is_held_out

    def _split(self, split: str, reading: ReadingSettings) -> Source:
        from ssl_tf.data.sources.opening import open_split

        source = open_split(
            DataSettings(dataset=self.dataset, split=split, **dataclasses.asdict(reading))
        )
        if not source.num_classes or source.multi_label:
            raise UserError(f"{source.name} has not one label for each image; prepare it again")
        for guessed in source.guesses.values():
            raise UserError(f"{guessed}; prepare it again")
        return source


PROTOCOLS = {
    # The split called validation is the official test set, cleaned by hand; train is noisy.
    "food101": Protocol(
        "Food-101", "food101", (68_175, 7_575, 25_250), held_out=7_575, test="validation"
    ),
    # The 100 fine classes (`label`); `coarse_label` has 20.
    "cifar100": Protocol("CIFAR-100", "cifar100", (44_933, 5_067, 10_000), held_out=5_067),
    "cifar10": Protocol("CIFAR-10", "cifar10", (45_000, 5_000, 10_000), held_out=5_000),
    # The first official partition, 50 + 50 images a class. The default configuration, `tfds`, is a
    # random 70/10/20 split of all images and no protocol. Two undecodable images are left out by
    # TFDS, so that a split may lack one.
    "sun397": Protocol(
        "SUN397",
        "sun397/standard-part1-120k",
        (15_880, 3_970, 19_850),
        held_out_per_class=10,
    ),
    # Its hosts have been gone at times: prepare it from the archives by hand, in manual_dir.
    "cars196": Protocol("Cars", "cars196", (6_494, 1_650, 8_041), held_out=1_650),
    # TFDS has the first of ten folds, which is the published one.
    "dtd": Protocol("DTD", "dtd", (1_880, 1_880, 1_880), validation="validation"),
    # The 37 breeds (`label`); `species` has 2. The records have a second image, the mask.
    "oxford_iiit_pet": Protocol(
        "Pets",
        "oxford_iiit_pet",
        (2_940, 740, 3_669),
        held_out_per_class=20,
        metric="mean_per_class",
    ),
    # Neither paper has these two; the number of held-out images is that of CIFAR-10.
    "mnist": Protocol("MNIST", "mnist", (55_000, 5_000, 10_000), held_out=5_000),
    "fashion_mnist": Protocol(
        "Fashion-MNIST", "fashion_mnist", (55_000, 5_000, 10_000), held_out=5_000
    ),
}
