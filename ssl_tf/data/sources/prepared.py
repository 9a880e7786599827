"""A source of what `prepare` wrote."""

import os
from pathlib import Path

import tensorflow as tf

from ssl_tf.data.prepared_manifest import ID, IMAGE, LABEL, Manifest
from ssl_tf.data.record_framing import FRAME_BYTES
from ssl_tf.data.sources.record_files import RecordSource, Shard
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.memory import keep_freed_memory


class PreparedImages(RecordSource):
    """One split of prepared images, in the order drawn by `prepare`.

    The ids are the paths of the originals. The manifest has the numbers, so nothing is read until
    it is needed.
    """

    def __init__(self, directory: str, split: str, shuffle_mib: int):
        """Reads the manifest.

        Args:
            directory: the output of `prepare`.
            split: "train" or "validation".
            shuffle_mib: memory for the shuffle buffer, in MiB.

        Raises:
            SettingsError: there is no such split.
            UserError: the directory is no complete output, or a record file is gone or cut.
        """
        manifest = Manifest.read(Path(directory))
        files = manifest.splits.get(split)
        if not files:
            raise SettingsError(
                f"--split={split}: --prepared={directory} has {', '.join(manifest.splits)}"
            )
        for file in files:
            path = os.path.join(directory, file.name)
            size = os.path.getsize(path) if os.path.isfile(path) else -1
            if size != file.size:
                found = "is gone" if size < 0 else f"has {size} bytes, not {file.size}"
                raise UserError(f"{path} {found}: restore the file, or prepare the images again")
        if manifest.encoding == "raw":
            keep_freed_memory()
        self._labelled = bool(manifest.class_names)
        records = sum(file.records for file in files)
        super().__init__(
            f"prepared {directory}:{split}",
            [Shard(os.path.join(directory, file.name), 0, file.records) for file in files],
            record_bytes=sum(file.size for file in files) / records - FRAME_BYTES,
            shuffle_mib=shuffle_mib,
            num_classes=len(manifest.class_names) or None,
            class_names=manifest.class_names,
        )

    def _parse(self, serialized: tf.Tensor, row: tf.Tensor) -> dict[str, tf.Tensor]:
        wanted = {name: tf.io.FixedLenFeature([], tf.string) for name in (IMAGE, ID)}
        if self._labelled:
            wanted[LABEL] = tf.io.FixedLenFeature([], tf.int64)
        features = tf.io.parse_single_example(serialized, wanted)
        example = {"id": features[ID], "image": features[IMAGE]}
        return {**example, "label": features[LABEL]} if self._labelled else example
