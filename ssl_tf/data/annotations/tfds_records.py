"""Sources of TFDS's `voc` and `scene_parse150`, whose records are read one by one in any order."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from ssl_tf.data.annotation_marks import CROWD
from ssl_tf.data.annotations.annotated_source import AnnotatedSource
from ssl_tf.data.annotations.image_sizes import image_size
from ssl_tf.data.annotations.label_maps import read_label_map, without_zero
from ssl_tf.data.annotations.object_table import BadAnnotations, ObjectRows
from ssl_tf.data.record_framing import DATA_AT, count_records, record_lengths
from ssl_tf.data.sources.record_files import Shard
from ssl_tf.data.sources.tfds_features import is_relative_box
from ssl_tf.data.sources.tfds_files import open_split_files
from ssl_tf.errors import UserError

_SCENE_CLASSES = 150
# Key of a record's id beside its values, whose keys are not empty.
_ID = ""


@dataclasses.dataclass(frozen=True)
class Records:
    """The records of a split, by row.

    Attributes:
        files: of each record.
        numbers: of each record in its file.
        offsets, lengths: of its data in the file, in bytes.
        ids: `file__position` of each record.
    """

    files: list[str]
    numbers: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    ids: list[bytes]

    @classmethod
    def of(cls, shards: Sequence[Shard]) -> "Records":
        """The records of pieces of files; only the lengths in the files are read."""
        files, numbers, offsets, lengths, ids = [], [], [], [], []
        for shard in shards:
            begins, sizes = record_lengths(shard.file)
            chosen = slice(shard.skip, shard.skip + shard.take)
            if len(begins[chosen]) < shard.take:
                raise UserError(f"{shard.file} ends after {len(begins)} records: restore the file")
            files += [shard.file] * shard.take
            numbers.append(np.arange(shard.skip, shard.skip + shard.take))
            offsets.append(begins[chosen] + DATA_AT)
            lengths.append(sizes[chosen])
            name = os.path.basename(shard.file)
            ids += [f"{name}__{n}".encode() for n in range(shard.skip, shard.skip + shard.take)]
        return cls(files, *map(np.concatenate, (numbers, offsets, lengths)), ids)

    def read(self, row: int) -> dict[str, Any]:
        """The lists of values of a record, by key.

        Raises:
            UserError: it cannot be read, or is no tf.train.Example.
        """
        try:
            with open(self.files[row], "rb") as file:
                file.seek(int(self.offsets[row]))
                content = file.read(int(self.lengths[row]))
            features = tf.train.Example.FromString(content).features.feature
        except Exception as error:  # OSError, and protobuf's DecodeError, which has no public home
            raise UserError(f"{self.files[row]} cannot be read ({error}); restore it") from None
        return {
            key: getattr(feature, feature.WhichOneof("kind") or "bytes_list").value
            for key, feature in features.items()
        }


class TfdsSource(AnnotatedSource):
    """The images of records; subclasses read what else these hold."""

    _records: Records

    def _opened(self, row: int) -> dict[str, Any]:
        return {**self._records.read(row), _ID: self._records.ids[row]}

    def _encoded(self, opened: dict[str, Any]) -> bytes:
        return _image(opened)

    def _detail(self, row: int) -> bytes:
        return b"%d " % self._records.lengths[row] + super()._detail(row)

    def places(self) -> dict[str, np.ndarray]:
        found: dict[str, list[int]] = {}
        for row in self._row_numbers().tolist():
            found.setdefault(self._records.files[row], []).append(row)
        return {os.path.realpath(file): self._records.numbers[rows] for file, rows in found.items()}

    def verify(self) -> None:
        for file in dict.fromkeys(self._records.files):
            count_records(file)


class TfdsObjects(TfdsSource):
    """Objects of TFDS, as of `voc/2007` and `coco/2017`: boxes as TFDS has them, and classes.

    Crowds, difficult objects and areas of segments are read where the data set has them.
    """

    def __init__(self, dataset: str, data_dir: str, split: str):
        """Reads all records once, for their objects.

        Args:
            dataset, data_dir, split: as in `PreparedDataset`.

        Raises:
            UserError: the data set is not prepared, is damaged, or has no such objects; or their
                boxes are no fractions in TFDS's usual order.
        """
        info, shards = open_split_files(dataset, data_dir, split)
        try:
            features = info.features["objects"].feature
            names, box = tuple(features["label"].names), features["bbox"]
        except (KeyError, AttributeError, TypeError):
            raise UserError(
                f"--dataset={dataset} has no objects with boxes and labels, as voc has; it has "
                f"{', '.join(sorted(info.features))}"
            ) from None
        if not is_relative_box(box):
            raise UserError(
                f"--dataset={dataset}: the boxes of its objects are not of REL_YXYX, TFDS's usual "
                "format; prepare it with such boxes"
            )
        self._records = Records.of(shards)
        bad = BadAnnotations("ymin, xmin, ymax and xmax in fractions of the image's sides")
        rows, ids = ObjectRows(bad), []
        for row, default in enumerate(self._records.ids):
            record = self._records.read(row)
            ids.append(next(iter(record.get("image/filename", ())), default))
            rows.begin_image()
            size = image_size(_image(record)) or (1, 1)
            boxes = np.reshape(record.get("objects/bbox", ()), [-1, 4]) * [*size, *size]
            labels = record.get("objects/label", ())
            columns = [
                record.get(f"objects/{key}", (default,) * len(boxes))
                for key, default in ((CROWD, 0), ("is_difficult", 0), ("area", None))
            ]
            if {len(labels), *map(len, columns)} != {len(boxes)}:
                raise UserError(
                    f"--dataset={dataset}: {ids[-1].decode(errors='replace')} has {len(boxes)} "
                    f"boxes and {len(labels)} labels, or another number of its other fields; "
                    "prepare the data set anew"
                )
            for box, label, crowd, difficult, area in zip(boxes, labels, *columns):
                if not 0 <= label < len(names):
                    raise UserError(
                        f"--dataset={dataset}:{split}: an object of "
                        f"{ids[-1].decode(errors='replace')} has the label {label}, but there are "
                        f"{len(names)} classes, counted from 0; give a split whose labels are known"
                    )
                name = f"{names[label]} of {ids[-1].decode(errors='replace')}"
                kinds = {"crowd": bool(crowd), "difficult": bool(difficult)}
                rows.add(name, box, size, label, **kinds, area=area)
        super().__init__(
            f"{dataset}:{split}, annotated", ids, len(names), names, objects=rows.table(), bad=bad
        )


class TfdsSceneParsing(TfdsSource):
    """TFDS's `scene_parse150`: 150 classes of ADE20K; label 0, all else, is ignored."""

    def __init__(self, dataset: str, data_dir: str, split: str, class_names: Sequence[str] = ()):
        """
        Args:
            dataset, data_dir, split: as in `PreparedDataset`.
            class_names: names of the classes, by label.

        Raises:
            UserError: the data set is not prepared, is damaged, or has no label maps.
        """
        info, shards = open_split_files(dataset, data_dir, split)
        if "annotation" not in info.features:
            raise UserError(
                f"--dataset={dataset} has no annotation, as scene_parse150 has; it has "
                f"{', '.join(sorted(info.features))}"
            )
        self._records = Records.of(shards)
        super().__init__(
            f"{dataset}:{split}, label maps",
            self._records.ids,
            _SCENE_CLASSES,
            tuple(class_names),
            objects=None,
        )
        self.first_label = 1

    def _annotated_size(self, opened: dict[str, Any]) -> tuple[int, int] | None:
        return image_size(_encoded_map(opened))

    def _label_map(self, opened: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
        encoded = _encoded_map(opened)
        name = f"of {opened[_ID].decode(errors='replace')}"
        return without_zero(read_label_map(encoded, name, size))


def _encoded_map(record: dict[str, Any]) -> bytes:
    return next(iter(record.get("annotation", ())), b"")


def _image(record: dict[str, Any]) -> bytes:
    return next(iter(record.get("image", ())), b"")
