"""The sources that flags can name, opened by what was given."""

from ssl_tf.data.base import Source
from ssl_tf.data.folder import ImageFolder
from ssl_tf.data.object_scenes import ObjectScenes
from ssl_tf.data.scenes import Scenes
from ssl_tf.data.tfds_records import PreparedDataset
from ssl_tf.data.tfrecord import ExampleFiles
from ssl_tf.errors import SettingsError

__all__ = ["Source", "open_source"]


def open_source(
    *,
    dataset: str = "",
    data_dir: str = "",
    split: str = "train",
    image_folder: str = "",
    tfrecord: str = "",
    scenes: int = 4000,
    scene_size: int = 48,
    scene_objects: str = "",
    shuffle_mib: int = 1024,
) -> Source:
    """Opens the one source that is named.

    Args:
      dataset: a prepared TFDS data set, or "scenes", the built-in one.
      data_dir: where TFDS data sets lie (see `PreparedDataset`).
      split: split of `dataset`; folders and record files have none.
      image_folder: a folder of images (see `ImageFolder`).
      tfrecord: a glob of files of tf.train.Example (see `ExampleFiles`).
      scenes: number of training scenes; the test split has a quarter of them.
      scene_size: side of a scene, in pixels.
      scene_objects: a prepared TFDS data set whose images stand in the scenes (see `ObjectScenes`),
        those of its own split "train" or "test" in each; empty: shapes.
      shuffle_mib: memory for shuffling undecoded records, in MiB.

    Raises:
      SettingsError: not exactly one source is named, or the split does not exist.
      UserError: the data is missing or damaged.
    """
    if sum(map(bool, (dataset, image_folder, tfrecord))) != 1:
        raise SettingsError("give exactly one of --dataset, --image_folder and --tfrecord")
    if image_folder:
        return ImageFolder(image_folder)
    if tfrecord:
        return ExampleFiles(tfrecord, shuffle_mib)
    if dataset == "scenes" and scene_objects:
        objects = PreparedDataset(scene_objects, data_dir, split, shuffle_mib)
        return ObjectScenes(objects, split, scenes, scene_size)
    if dataset == "scenes":
        return Scenes(split, scenes, scene_size)
    return PreparedDataset(dataset, data_dir, split, shuffle_mib)
