"""Data sets of the transfer suites, tiny ones, prepared with the features that theirs have."""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from ssl_tf.evaluation.protocols import PROTOCOLS

CLASSES = 3
SIDE = 16


def image(label, number, channels=3):
    """uint8 [16, 16, channels], whose brightness tells its class."""
    noise = np.random.default_rng(number).integers(0, 40, (SIDE, SIDE, channels))
    return np.uint8(80 * label + noise)


def prepare(root, name, counts):
    """Writes one of PROTOCOLS.

    Args:
        root: the data directory.
        name: of the protocol.
        counts: split -> images of each class, [3].
    """
    import tensorflow_datasets as tfds

    protocol = PROTOCOLS[name]
    channels = 1 if name == "mnist" else 3
    features = {
        "image": tfds.features.Image(shape=(None, None, channels), encoding_format="png"),
        "label": tfds.features.ClassLabel(num_classes=CLASSES),
    }
    if name in ("cifar10", "cifar100"):
        features["id"] = tfds.features.Text()
    if name == "cifar100":
        features["coarse_label"] = tfds.features.ClassLabel(num_classes=2)
    if name == "oxford_iiit_pet":
        mask = tfds.features.Image(shape=(None, None, 1), encoding_format="png")
        features |= {
            "file_name": tfds.features.Text(),
            "segmentation_mask": mask,
            "species": tfds.features.ClassLabel(num_classes=2),
        }
    features = tfds.features.FeaturesDict(features)
    directory = root.joinpath(*protocol.dataset.split("/"), "1.0.0")
    directory.mkdir(parents=True)
    number, infos = 0, []
    for split, of_class in counts.items():
        labels = np.random.default_rng(len(infos)).permutation(np.repeat(range(CLASSES), of_class))
        size = 0
        path = directory / f"{name}-{split}.tfrecord-00000-of-00001"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for label in labels:
                number += 1
                values = {
                    "image": image(label, number, channels),
                    "label": label,
                    "id": f"{split}{number}",
                    "file_name": f"{split}{number}",
                    "coarse_label": 1 - label % 2,
                    "species": 1 - label % 2,
                    "segmentation_mask": np.zeros((SIDE, SIDE, 1), np.uint8),
                }
                encoded = features.encode_example({key: values[key] for key in features})
                serialized = features.serialize_example(encoded)
                writer.write(serialized)
                size += len(serialized)
        infos.append(
            {
                "name": split,
                "shardLengths": [str(len(labels))],
                "numBytes": str(size),
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        )
    dataset, _, config = protocol.dataset.partition("/")
    info = {"name": dataset, "version": "1.0.0", "fileFormat": "tfrecord", "splits": infos}
    if config:
        info["configName"] = config
    (directory / "dataset_info.json").write_text(json.dumps({**info, "moduleName": "gone"}))
    features.save_config(str(directory))


def shrink(monkeypatch, name, sizes, held_out=0, held_out_per_class=0):
    """The protocol of a data set, for as few images as `prepare` was told."""
    small = dataclasses.replace(
        PROTOCOLS[name], sizes=sizes, held_out=held_out, held_out_per_class=held_out_per_class
    )
    monkeypatch.setitem(PROTOCOLS, name, small)
