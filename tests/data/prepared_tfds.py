"""Prepared TFDS data sets, tiny ones, written without the code of TFDS that writes them."""

import json

import numpy as np
import tensorflow as tf

from tests.data.annotations.annotated_files import prepare_tfds
from tests.data.tiny_images import picture

KINDS, POSES = ["cat", "dog"], ["left", "right", "up"]


def prepare(
    root,
    name="animals",
    version="1.0.0",
    file_format="tfrecord",
    image=True,
    counts=None,
    config=None,
):
    """Writes a prepared TFDS data set: splits train (3 shards) and test."""
    import tensorflow_datasets as tfds

    features = {
        "file_name": tfds.features.Text(),
        "label": tfds.features.ClassLabel(names=["cat", "dog", "eel"]),
        "objects": tfds.features.Sequence(
            {"bbox": tfds.features.BBoxFeature(), "crowded": np.bool_}
        ),
        "other": tfds.features.Tensor(shape=(2,), dtype=np.float32),
    }
    if image:
        features["picture"] = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
    features = tfds.features.FeaturesDict(features)
    directory = root.joinpath(*filter(None, (name, config, version)))
    directory.mkdir(parents=True)
    shards = counts or {"train": [7, 2, 4], "test": [5]}
    infos, number = [], 0
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    for split, lengths in shards.items():
        size = 0
        for shard, length in enumerate(lengths):
            path = directory / f"{name}-{split}.{file_format}-{shard:05}-of-{len(lengths):05}"
            with tf.io.TFRecordWriter(str(path)) as writer:
                for _ in range(length):
                    example = {
                        "file_name": f"{number}.png",
                        "label": number % 3,
                        "other": [1, 2],
                        "objects": [
                            {"bbox": tfds.features.BBox(0.0, 0.25, 0.5, 1.0), "crowded": True}
                        ]
                        * (number % 2),
                    }
                    if image:
                        example["picture"] = picture(number)
                    serialized = features.serialize_example(features.encode_example(example))
                    writer.write(serialized)
                    size += len(serialized)
                    number += 1
        infos.append(
            {
                "name": split,
                "shardLengths": list(map(str, lengths)),
                "numBytes": str(size),
                "filepathTemplate": template,
            }
        )
    (directory / "dataset_info.json").write_text(
        json.dumps(
            {
                "name": name,
                "version": version,
                "fileFormat": file_format,
                "moduleName": "gone",
                "splits": infos,
                **({"configName": config} if config else {}),
            }
        )
    )
    features.save_config(str(directory))
    return directory


def prepare_several(root):
    """Data sets of which a feature has to be named, each with six records in train and in test.

    `toys` has two labels, `pairs` two images, `roads` two labels of its boxes. Of record n the kind
    is n % 2, the pose n % 3, the left image picture n, the right one picture n + 50.
    """
    import tensorflow_datasets as tfds

    kind, pose = (tfds.features.ClassLabel(names=names) for names in (KINDS, POSES))
    image = tfds.features.Image(shape=(None, None, 3), encoding_format="png")
    boxed = {"bbox": tfds.features.BBoxFeature(), "hidden": pose, "type": kind}
    sets = {
        "toys": {"image": image, "kind": kind, "pose": pose},
        "pairs": {"left": image, "right": image, "label": kind},
        "roads": {"image": image, "objects": tfds.features.Sequence(boxed)},
    }
    box = tfds.features.BBox(0.0, 0.0, 0.5, 0.5)
    for name, features in sets.items():
        rows = [
            {
                "image": picture(n),
                "left": picture(n),
                "right": picture(n + 50),
                "kind": n % 2,
                "label": n % 2,
                "pose": n % 3,
                "objects": [{"bbox": box, "hidden": n % 3, "type": n % 2}],
            }
            for n in range(6)
        ]
        features = tfds.features.FeaturesDict(features)
        rows = [{key: row[key] for key in features} for row in rows]
        prepare_tfds(root, name, features, {"train": rows, "test": rows})
