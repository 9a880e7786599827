"""Sources of data sets that TensorFlow Datasets has prepared; need no builder and no network."""

import numpy as np
import tensorflow as tf

from ssl_tf.data.record_framing import FRAME_BYTES
from ssl_tf.data.sources.record_files import RecordSource
from ssl_tf.data.sources.tfds_features import (
    choose,
    crowd_beside,
    feature_at,
    find_boxes,
    find_labels,
    usual_labels,
)
from ssl_tf.data.sources.tfds_files import open_split_files
from ssl_tf.errors import UserError, warn

_ID_FEATURES = ("id", "image/id", "image_id", "image/filename", "file_name", "filename")


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
            warn(f"--dataset={dataset}: images of floats are left out: {', '.join(floats)}")
        images = [name for name in images if name not in floats]
        if not images:
            raise UserError(
                f"--dataset={dataset} has no image feature; it has {', '.join(sorted(features))}"
            )
        boxes = find_boxes(features)
        self._boxes = boxes[0] if boxes else None
        if len(boxes) > 1:
            first, *others = ("/".join(filter(None, path)) for path in boxes)
            warn(
                f"--dataset={dataset} has several kinds of boxes: where boxes are read, those of "
                f"{first} are, and not of {', '.join(others)}"
            )
        self._crowd = crowd_beside(features, self._boxes)
        if self._crowd:
            warn(
                f"--dataset={dataset}: boxes around several objects "
                f"({'/'.join(self._crowd)}) are left out"
            )
        labels = find_labels(features)
        given = {"image_feature": (image_feature, images), "label_feature": (label_feature, labels)}
        for flag, (name, known) in given.items():
            if name and name not in known:
                raise UserError(
                    f"--{flag}={name}: {dataset} has no such feature; it has "
                    f"{', '.join(sorted(known)) or 'none'}"
                )
        self._image, image_guess = choose([image_feature] if image_feature else images, "image")
        usual = usual_labels(features, labels, self._boxes)
        label, label_guess = choose(*(([label_feature], "") if label_feature else usual))
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
            present = tf.one_hot(feature_at(features, self._labels), self.num_classes)
            example["label"] = tf.minimum(tf.reduce_sum(present, axis=0), 1)
        if self._boxes:
            boxes = feature_at(features, self._boxes)
            if self._crowd:
                crowd = tf.cast(feature_at(features, self._crowd), tf.int32) > 0
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


def _parts(info, files: set[str]) -> list:
    """The whole splits that the files belong to."""
    return [part for part in info.splits.values() if files & set(map(str, part.filepaths))]
