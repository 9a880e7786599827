"""Sources of data sets that TensorFlow Datasets has prepared; need no builder and no network."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.record_framing import FRAME_BYTES
from ssl_tf.data.sources.record_files import RecordSource, Shard
from ssl_tf.errors import NoSuchSplit, NotPrepared, SettingsError, UserError

_ID_FEATURES = ("id", "image/id", "image_id", "image/filename", "file_name", "filename")
_INFO = "dataset_info.json"
# Key of a flag beside a box: it is around several objects, as in COCO.
CROWD = "is_crowd"
# The same flag in TFDS's open_images_v4, where -1 is unknown.
_GROUP = "is_group_of"


class PreparedDataset(RecordSource):
    """A split of a prepared TFDS data set, found under `<data_dir>/<name>[/<config>]/<version>`.

    Image, label and boxes are found by the type of the features. If an image has no single label,
    the labels of a sequence are used, for example those of its boxes; the source is then
    multi-label. Of several features of a type that is taken which is called "image" or "label";
    where none is, the first, which `guesses` tells. The boxes of crowds are left out, and a line on
    stderr says so.
    """

    def __init__(
        self,
        dataset: str,
        data_dir: str,
        split: str,
        shuffle_mib: int,
        image_feature: str = "",
        label_feature: str = "",
    ):
        """Finds the files of the split and checks their sizes.

        Args:
            dataset: `name` or `name/config`, either with `:version`; by default the newest version.
            data_dir: root of the prepared data sets; empty: TFDS_DATA_DIR or
                ~/tensorflow_datasets.
            split: a split or a slice of it, such as `train[:90%]`.
            shuffle_mib: memory for the shuffle buffer, in MiB.
            image_feature: name of the images; empty: as above.
            label_feature: name of the labels, FEATURE/KEY inside of a sequence; empty: as above.

        Raises:
            UserError: the data set is not prepared, is damaged, or has no image or no such feature.
            NoSuchSplit: the split does not exist.
        """
        info, shards = open_split_files(dataset, data_dir, split)
        guesses = self._choose_features(dataset, info.features, image_feature, label_feature)
        label = self._class_label(info.features)
        parts = _parts(info, {shard.file for shard in shards})
        given = ", ".join(filter(None, (image_feature, label_feature)))
        name, colon, version = dataset.partition(":")
        super().__init__(
            # Reports on other features of the data set are others.
            f"{name}{given and f' ({given})'}{colon}{version}:{split}",
            shards,
            record_bytes=sum(part.num_bytes for part in parts)
            / sum(part.num_examples for part in parts)
            + FRAME_BYTES,
            shuffle_mib=shuffle_mib,
            num_classes=label.num_classes if label else None,
            class_names=tuple(label.names) if label else (),
            multi_label=self._labels is not None,
        )
        self.guesses = {flag: f"{self.name} {told}" for flag, told in guesses.items() if told}
        sides = info.features[self._image].shape[:2]
        self.largest_side = max(sides) if all(sides) else None
        self._check_files(parts)

    def _choose_features(
        self, dataset: str, features, image_feature: str, label_feature: str
    ) -> dict[str, str]:
        """Chooses the features that are parsed: flag -> what was guessed, empty if nothing was."""
        import tensorflow_datasets as tfds

        images = [name for name, kind in features.items() if type(kind) is tfds.features.Image]
        # TFDS stores those of floats as bytes of four channels.
        floats = [name for name in images if np.dtype(features[name].np_dtype).kind == "f"]
        if floats:
            print(
                f"warning: --dataset={dataset}: images of floats are left out: {', '.join(floats)}",
                file=sys.stderr,
            )
        images = [name for name in images if name not in floats]
        if not images:
            raise UserError(
                f"--dataset={dataset} has no image feature; it has {', '.join(sorted(features))}"
            )
        self._boxes = _find_boxes(features)
        self._crowd = _crowd_beside(features, self._boxes)
        if self._crowd:
            print(
                f"warning: --dataset={dataset}: boxes around several objects "
                f"({'/'.join(self._crowd)}) are left out",
                file=sys.stderr,
            )
        labels = _find_labels(features)
        given = {"image_feature": (image_feature, images), "label_feature": (label_feature, labels)}
        for flag, (name, known) in given.items():
            if name and name not in known:
                raise UserError(
                    f"--{flag}={name}: {dataset} has no such feature; it has "
                    f"{', '.join(sorted(known)) or 'none'}"
                )
        self._image, image_guess = _choose([image_feature] if image_feature else images, "image")
        usual = _usual_labels(features, labels, self._boxes)
        label, label_guess = _choose(*(([label_feature], "") if label_feature else usual))
        is_single = label in features and type(features[label]) is tfds.features.ClassLabel
        self._label = label if is_single else None
        self._labels = None if is_single else labels.get(label)
        self._id = next(
            (name for name in _ID_FEATURES if name in features and features[name].shape == ()), None
        )
        # Parsing the other features, such as masks, would cost time.
        needed = {name: features[name] for name in (self._image, self._label, self._id) if name}
        paths = [path for path in (self._boxes, self._crowd, self._labels) if path]
        for name in dict.fromkeys(outer for outer, _ in paths):
            inner = features[name].feature
            keys = [key for outer, key in paths if outer == name and key]
            needed[name] = tfds.features.Sequence(
                {key: inner[key] for key in keys} if keys else inner
            )
        self._features = tfds.features.FeaturesDict(needed)
        self._decoders = {self._image: tfds.decode.SkipDecoding()}
        return {"image_feature": image_guess, "label_feature": label_guess}

    def _parse(self, serialized: tf.Tensor, row: tf.Tensor) -> dict[str, tf.Tensor]:
        features = self._features.deserialize_example(serialized, decoders=self._decoders)
        example = {"image": features[self._image]}
        if self._id:
            value = features[self._id]
            example["id"] = value if value.dtype == tf.string else tf.strings.as_string(value)
        else:
            example["id"] = self._default_id(row)
        if self._label:
            example["label"] = tf.cast(features[self._label], tf.int64)
        if self._labels:
            present = tf.one_hot(_feature_at(features, self._labels), self.num_classes)
            example["label"] = tf.minimum(tf.reduce_sum(present, axis=0), 1)
        if self._boxes:
            boxes = _feature_at(features, self._boxes)
            if self._crowd:
                crowd = tf.cast(_feature_at(features, self._crowd), tf.int32) > 0
                boxes = tf.boolean_mask(boxes, ~crowd)
            example["boxes"] = boxes
        return example

    def _class_label(self, features):
        """The ClassLabel feature, None without labels."""
        if self._label:
            return features[self._label]
        if self._labels is None:
            return None
        outer, inner = self._labels
        return features[outer].feature[inner] if inner else features[outer].feature

    def _check_files(self, parts: list) -> None:
        """Checks that no file is missing, and reads the files through if they are too small.

        Raises:
            UserError: a file is missing or damaged.
        """
        for part in parts:
            stored = 0
            for file in part.filepaths:
                if not tf.io.gfile.exists(file):
                    raise UserError(
                        f"{file} of --dataset={self.name} is missing: prepare the data set anew"
                    )
                stored += tf.io.gfile.stat(file).length
            if stored < part.num_bytes + FRAME_BYTES * part.num_examples:
                self.verify()


def open_split_files(dataset: str, data_dir: str, split: str) -> tuple[Any, list[Shard]]:
    """TFDS's description of a prepared data set, and the pieces of files that a split has.

    Args:
        dataset, data_dir, split: as in `PreparedDataset`.

    Raises:
        UserError: the data set is not prepared, is damaged, or is in another format.
        NoSuchSplit: the split does not exist.
    """
    import tensorflow_datasets as tfds

    root = data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    directory = _find(dataset, os.path.expanduser(root))
    try:
        info = tfds.builder_from_directory(directory).info
    except Exception as error:  # whatever a damaged or newer description makes TFDS raise
        raise UserError(
            f"--dataset={dataset}: TensorFlow Datasets cannot read {directory}: "
            f"{_first_line(error)}"
        ) from None
    if info.file_format != tfds.core.FileFormat.TFRECORD:
        raise UserError(
            f"--dataset={dataset}: {directory} is stored as "
            f"{info.file_format.value}; prepare it with --file_format=tfrecord"
        )
    shards = [
        Shard(
            file.filename,
            file.skip,
            file.take if file.take >= 0 else file.examples_in_shard - file.skip,
        )
        for file in _instructions(dataset, info, split)
    ]
    twice = _read_twice(shards)
    if twice:
        raise SettingsError(
            f"--split={split} of --dataset={dataset} has {twice} examples more than once, which a "
            "hold-out would leave in the training; give parts that do not overlap"
        )
    return info, shards


def _read_twice(shards: list[Shard]) -> int:
    """The number of records that lie in several pieces, counted each time but the first."""
    again, ends = 0, {}
    for shard in sorted(shards, key=lambda shard: shard.skip):
        stop, end = shard.skip + shard.take, ends.get(shard.file, 0)
        again += max(0, min(stop, end) - shard.skip)
        ends[shard.file] = max(stop, end)
    return again


def _find(dataset: str, root: str) -> str:
    """The directory of a prepared data set, by default of its newest version.

    Raises:
        NotPrepared: the data set is not prepared; the message lists the data sets that are.
        UserError: the data set has several configurations, or not this version.
    """

    name, _, version = dataset.partition(":")
    flag = f"--dataset={dataset}"
    prepared = _prepared(root)
    found = [path for path in prepared if path.startswith(f"{name}/")]
    if not found:
        have = (
            "; prepared there: "
            + ", ".join(dict.fromkeys(path.rpartition("/")[0] for path in prepared))
            if prepared
            else ", where no data set is prepared"
            if os.path.isdir(root)
            else ", which does not exist"
        )
        raise NotPrepared(
            f"{flag} is not prepared in {root}{have}; {_way_to_prepare(name, root)}, or correct "
            "--data_dir"
        )
    configs = dict.fromkeys(path.rpartition("/")[0] for path in found)
    if len(configs) > 1:
        raise UserError(f"{flag} has several configurations, name one: {', '.join(configs)}")
    versions = [path.rpartition("/")[2] for path in found]
    if version and version not in versions:
        raise UserError(f"{flag}: prepared in {root} are the versions {', '.join(versions)}")
    newest = version or max(versions, key=lambda text: tuple(map(int, text.split("."))))
    return os.path.join(root, *next(iter(configs)).split("/"), newest)


def _way_to_prepare(name: str, root: str) -> str:
    """What makes a data set: TFDS, if it knows the name; else what made it elsewhere."""
    import tensorflow_datasets as tfds

    known = set(tfds.list_builders(with_community_datasets=False))
    if name.partition("/")[0] in known:
        return (
            f"prepare it in Python with tfds.builder({name!r}, data_dir={root!r})"
            ".download_and_prepare()"
        )
    return (
        "TensorFlow Datasets has none of this name: correct it; a subset of OpenImages is made by "
        f"python -m ssl_tf.openimages --name={name} --output={root} --boxes=CSV --images=DIR"
    )


def _prepared(root: str) -> list[str]:
    """`name[/config]/version` of each data set prepared under a root, sorted."""
    found = []
    for pattern in (("*",) * 2, ("*",) * 3):
        for path in tf.io.gfile.glob(os.path.join(root, *pattern, _INFO)):
            relative = os.path.relpath(os.path.dirname(path), root)
            parts = relative.split(os.sep)
            if all(number.isdigit() for number in parts[-1].split(".")):
                found.append("/".join(parts))
    return sorted(found)


def _instructions(dataset: str, info, split: str) -> list:
    """TFDS's file instructions of a split.

    Raises:
        NoSuchSplit: the split is misspelt, does not exist, or is empty.
    """
    try:
        instructions = [file for file in info.splits[split].file_instructions if file.take != 0]
    except (KeyError, ValueError) as error:
        raise NoSuchSplit(
            f"--split={split}: {_first_line(error)} --dataset={dataset} has "
            f"the splits {', '.join(info.splits)}"
        ) from None
    if not instructions:
        raise NoSuchSplit(f"--split={split} of --dataset={dataset} is empty")
    return instructions


def _parts(info, files: set[str]) -> list:
    """The whole splits that the files belong to."""
    return [part for part in info.splits.values() if files & set(map(str, part.filepaths))]


def _find_boxes(features) -> tuple[str, str | None] | None:
    """The path of the boxes of an image: of its "objects", else the first by name; or None.

    TFDS's own order may differ from start to start, see `_choose`.
    """
    # Boxes in another order or in pixels are ignored.
    found = _in_sequences(features, is_relative_box)
    return min(found, key=lambda path: (path[0] != "objects", path[0], path[1] or ""), default=None)


def is_relative_box(feature) -> bool:
    """Whether a feature is a box of ymin, xmin, ymax, xmax in fractions of the image's sides."""
    import tensorflow_datasets as tfds

    if not isinstance(feature, tfds.features.BBoxFeature):
        return False
    # None: the data set is older than the other formats.
    return feature.bbox_format is None or feature.bbox_format.name == "REL_YXYX"


def _crowd_beside(features, boxes: tuple[str, str | None] | None) -> tuple[str, str] | None:
    """The path of the flags of crowds beside the boxes, if there are any."""
    if not boxes or boxes[1] is None:
        return None
    beside = features[boxes[0]].feature
    return next(((boxes[0], key) for key in (CROWD, _GROUP) if key in beside), None)


def _find_labels(features) -> dict[str, tuple[str, str | None]]:
    """The paths of all labels, by FEATURE, or FEATURE/KEY inside of a sequence of dicts."""
    import tensorflow_datasets as tfds

    def is_label(feature) -> bool:
        return type(feature) is tfds.features.ClassLabel

    of_image = [(name, None) for name, feature in features.items() if is_label(feature)]
    paths = [*of_image, *_in_sequences(features, is_label)]
    return {f"{outer}/{inner}" if inner else outer: (outer, inner) for outer, inner in paths}


def _usual_labels(
    features, labels: dict[str, tuple[str, str | None]], boxes: tuple[str, str | None] | None
) -> tuple[list[str], str]:
    """The labels to choose from, and how they are usually called.

    They are single labels of the image, else sequences of them, else those of its boxes.
    """
    import tensorflow_datasets as tfds

    whole = [name for name, (_, inner) in labels.items() if inner is None]
    of_image = [name for name in whole if type(features[name]) is tfds.features.ClassLabel]
    if of_image:
        return of_image, "label"
    if whole or boxes is None:
        return whole, "labels"
    of_boxes = [name for name, (outer, _) in labels.items() if outer == boxes[0]]
    return of_boxes, f"{boxes[0]}/label"


def _choose(found: list[str], usual: str) -> tuple[str | None, str]:
    """The feature that is called as usual, else the first; and what that guesses, in words.

    The first by name: TFDS gives features in the order of a hash, on newer stacks in another order
    in each process.
    """
    if usual in found or len(found) < 2:
        return usual if usual in found else next(iter(found), None), ""
    found = sorted(found)
    return found[0], f"has the features {', '.join(found)}, and none is called {usual}"


def _in_sequences(features, is_wanted: Callable) -> Iterator[tuple[str, str | None]]:
    """Yields the path of each wanted feature inside a sequence.

    The path is (feature, None) for a sequence of wanted features, and (feature, key) for a sequence
    of dicts.
    """
    import tensorflow_datasets as tfds

    for name, feature in features.items():
        inner = getattr(feature, "feature", None)
        if isinstance(inner, tfds.features.FeaturesDict):
            yield from ((name, key) for key, part in inner.items() if is_wanted(part))
        elif is_wanted(inner):
            yield name, None


def _feature_at(features: dict, path: tuple[str, str | None]) -> tf.Tensor:
    outer, inner = path
    return features[outer][inner] if inner else features[outer]


def _first_line(error: Exception) -> str:
    text = str(error.args[0] if error.args else error).strip()
    return text.splitlines()[0] if text else type(error).__name__
