"""Tiny images, folders and record files, made on the spot."""

import numpy as np
import tensorflow as tf


def picture(number: int, height: int = 6, width: int = 8) -> np.ndarray:
    """A uint8 [height, width, 3] image that no other number has."""
    return np.random.default_rng([number, height, width]).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


def png(number: int, height: int = 6, width: int = 8) -> bytes:
    return tf.io.encode_png(picture(number, height, width)).numpy()


def write_folder(folder, files: dict[str, bytes]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return str(folder)


def example(**fields) -> bytes:
    """A serialized tf.train.Example; keys have / written as __."""
    features = {}
    for key, value in fields.items():
        values = value if isinstance(value, list) else [value]
        if isinstance(values[0], bytes):
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        elif isinstance(values[0], float):
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        else:
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        features[key.replace("__", "/")] = feature
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_records(path, records: list[bytes]) -> str:
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def without_images(records: tf.data.Dataset) -> list[dict]:
    return [
        {key: value for key, value in record.items() if key not in ("image", "boxes")}
        for record in records.as_numpy_iterator()
    ]
