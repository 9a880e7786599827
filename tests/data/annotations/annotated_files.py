"""Tiny annotated sets on disk, of each format that is read."""

import io
import json

import numpy as np
import tensorflow as tf
from PIL import Image

from tests.data.tiny_images import picture, png


def write_coco(directory, annotations, *, images=3, height=6, width=8, categories=(3, 7)):
    """A json and its folder of images: returns both paths as text."""
    folder = directory / "images"
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for number in range(images):
        name = f"{number:012}.png"
        (folder / name).write_bytes(png(number, height, width))
        listed.append({"id": 10 * number, "file_name": name, "height": height, "width": width})
    content = {
        "images": listed[::-1],
        "categories": [{"id": k, "name": f"kind{k}"} for k in categories],
        "annotations": [{"id": 100 + n, **given} for n, given in enumerate(annotations)],
    }
    path = directory / "instances.json"
    path.write_text(json.dumps(content))
    return str(path), str(folder)


def label_png(labels, palette=False) -> bytes:
    image = Image.fromarray(np.asarray(labels, np.uint8), "P" if palette else "L")
    if palette:
        image.putpalette(list(range(255, -1, -1)) * 3)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def write_voc(directory, objects, *, name="trainval", height=6, width=8, maps=None):
    """A directory of VOC: image name -> its objects (class, xmin, ymin, xmax, ymax, difficult)."""
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main", "ImageSets/Segmentation"):
        (directory / folder).mkdir(parents=True, exist_ok=True)
    for number, (image, found) in enumerate(objects.items()):
        jpeg = tf.io.encode_jpeg(picture(number, height, width)).numpy()
        (directory / "JPEGImages" / f"{image}.jpg").write_bytes(jpeg)
        nodes = "".join(
            f"<object><name>{kind}</name><difficult>{int(hard)}</difficult><bndbox>"
            f"<ymin>{y0}</ymin><xmin>{x0}</xmin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
            "</bndbox></object>"
            for kind, x0, y0, x1, y1, hard in found
        )
        size = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
        (directory / "Annotations" / f"{image}.xml").write_text(
            f"<annotation>{size}{nodes}</annotation>"
        )
    for kind in ("Main", "Segmentation"):
        (directory / "ImageSets" / kind / f"{name}.txt").write_text("\n".join(objects) + "\n")
    for image, labels in (maps or {}).items():
        (directory / "SegmentationClass").mkdir(exist_ok=True)
        (directory / "SegmentationClass" / f"{image}.png").write_bytes(label_png(labels, True))
    return str(directory)


def write_maps(directory, maps, *, size=(6, 8)):
    """A folder of images and one of label maps: returns both paths as text."""
    for number, (name, labels) in enumerate(maps.items()):
        for folder, content in (
            ("images", png(number, *size)),
            ("annotations", None if labels is None else label_png(labels)),
        ):
            path = directory / folder / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                path.write_bytes(content)
    return str(directory / "images"), str(directory / "annotations")


def prepare_tfds(root, name, features, examples, config=None):
    """A prepared TFDS data set of one shard a split: split -> examples."""
    directory = root.joinpath(*filter(None, (name, config, "1.0.0")))
    directory.mkdir(parents=True)
    infos = []
    for split, rows in examples.items():
        size = 0
        path = directory / f"{name}-{split}.tfrecord-00000-of-00001"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for row in rows:
                serialized = features.serialize_example(row)
                writer.write(serialized)
                size += len(serialized)
        infos.append(
            {
                "name": split,
                "shardLengths": [str(len(rows))],
                "numBytes": str(size),
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
            }
        )
    info = {
        "name": name,
        "version": "1.0.0",
        "fileFormat": "tfrecord",
        "moduleName": "gone",
        "splits": infos,
        **({"configName": config} if config else {}),
    }
    (directory / "dataset_info.json").write_text(json.dumps(info))
    features.save_config(str(directory))


def voc_features():
    """The features of TFDS's voc, by its definition."""
    import tensorflow_datasets as tfds

    names = ["aeroplane", "bicycle", "bird"]
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(
                {
                    "label": tfds.features.ClassLabel(names=names),
                    "bbox": tfds.features.BBoxFeature(),
                    "pose": tfds.features.ClassLabel(names=["frontal", "rear"]),
                    "is_truncated": tf.bool,
                    "is_difficult": tf.bool,
                }
            ),
            "labels": tfds.features.Sequence(tfds.features.ClassLabel(names=names)),
            "labels_no_difficult": tfds.features.Sequence(tfds.features.ClassLabel(names=names)),
        }
    )


def coco_features(bbox_format="REL_YXYX"):
    """The features of TFDS's coco, by its definition."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "image/filename": tfds.features.Text(),
            "image/id": np.int64,
            "objects": tfds.features.Sequence(
                {
                    "area": np.int64,
                    "bbox": tfds.features.BBoxFeature(bbox_format=bbox_format),
                    "id": np.int64,
                    "is_crowd": np.bool_,
                    "label": tfds.features.ClassLabel(names=["cat", "dog"]),
                }
            ),
        }
    )


def coco_example(number, objects):
    """An example of `coco_features`: objects of label, corners, area, whether it is a crowd."""
    import tensorflow_datasets as tfds

    return {
        "image": picture(number),
        "image/filename": f"{number:012}.jpg",
        "image/id": number,
        "objects": [
            {
                "area": area,
                "bbox": tfds.features.BBox(*box),
                "id": n,
                "is_crowd": crowd,
                "label": label,
            }
            for n, (label, box, area, crowd) in enumerate(objects)
        ],
    }


def voc_example(number, objects):
    """An example of `voc_features`: objects of label, corners, whether it is difficult."""
    import tensorflow_datasets as tfds

    return {
        "image": picture(number),
        "image/filename": f"{number:06}.jpg",
        "objects": [
            {
                "label": label,
                "bbox": tfds.features.BBox(*box),
                "pose": 0,
                "is_truncated": False,
                "is_difficult": hard,
            }
            for label, box, hard in objects
        ],
        "labels": [label for label, _, _ in objects],
        "labels_no_difficult": [label for label, _, hard in objects if not hard],
    }


def scene_parsing_features():
    """The features of TFDS's scene_parse150, by its definition."""
    import tensorflow_datasets as tfds

    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "annotation": tfds.features.Image(encoding_format="png"),
        }
    )


def read(source) -> list[dict]:
    return list(source.sequence().as_numpy_iterator())
