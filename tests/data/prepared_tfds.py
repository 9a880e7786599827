"""Prepared TFDS data sets, tiny ones, written without the code of TFDS that writes them."""

import json

import numpy as np
import tensorflow as tf

from tests.data.tiny_images import picture


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
