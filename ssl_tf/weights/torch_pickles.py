"""Tensors in torch's and Detectron2's pickles, read without running anything in them.

Torch itself is not needed.
"""

import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ml_dtypes import bfloat16

from ssl_tf.pickles import Call, ClosedUnpickler, PickledArray, damage_told

_STORAGES = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
# The first number in a file that torch wrote before 1.6, and its version.
_LEGACY = (0x1950A86A20F9469CFC6C, 1001)


class _Storage:
    """The numbers of one or more tensors; those of an old file are read after its tensors."""

    def __init__(self, dtype: np.dtype, content: bytes = b""):
        self.dtype, self.content = dtype, content


class _TorchTensor:
    """A view of a storage."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple, strides: tuple, *_: Any):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def array(self) -> np.ndarray:
        numbers = np.frombuffer(self.storage.content, self.storage.dtype)
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if min(self.offset, 0, *self.strides, *self.shape) < 0 or last >= len(numbers):
            raise ValueError("a tensor lies outside of its storage")
        if math.prod(self.shape) > len(numbers):
            raise ValueError("a tensor is larger than its storage")
        size = numbers.itemsize
        strides = [s * size for s in self.strides]
        return np.ndarray(self.shape, numbers.dtype, numbers, self.offset * size, strides).copy()

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a state for a tensor")


# What torch's pickles name -> what they get: a function of this file, or the name alone.
_NAMES: dict[tuple[str, str], Any] = {
    ("torch._utils", "_rebuild_tensor_v2"): Call(_TorchTensor),
    ("torch._utils", "_rebuild_parameter"): Call(lambda data, *_: data),
    ("torch", "Size"): Call(tuple),
    **{("torch", name): name for name in _STORAGES},
}


class _Unpickler(ClosedUnpickler):
    """Builds tensors, too."""

    def __init__(self, file: BinaryIO, storage: Callable[[np.dtype, str, int], _Storage]):
        super().__init__(file, "tensor", "Save the tensors alone, as safetensors", _NAMES)
        self._storage = storage

    def persistent_load(self, pid: tuple) -> _Storage:
        kind, name, key, _, count = pid[:5]
        if kind != "storage":
            raise ValueError("no storage")
        return self._storage(_STORAGES[name], str(key), count)


def read_pickle(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a .pth or .pkl file by their names, with `.` between nested ones.

    Files of torch since 1.6 are zip archives; older ones, and Detectron2's, are bare pickles.

    Raises:
        Refused: the file names something else than tensors.
        ValueError: it is damaged.
        OSError: it cannot be read.
    """
    with damage_told():
        content = _read_zip(path) if zipfile.is_zipfile(path) else _read_bare(path)
        return dict(_flat("", content))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, np.ndarray]]:
    """The tensors of nested dictionaries with their names."""
    if isinstance(value, _TorchTensor | PickledArray):
        array = value.array()
        if array.dtype.kind not in "biufV":  # bfloat16 is a V
            raise ValueError(f"an array of {array.dtype}")
        yield prefix, array
    elif isinstance(value, dict):
        for key, inner in dict.items(value):
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner)


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        entries = {info.filename: info for info in archive.infolist()}
        program = next(name for name in entries if name.rpartition("/")[2] == "data.pkl")
        root = program.removesuffix("data.pkl")

        def storage(dtype: np.dtype, key: str, count: int) -> _Storage:
            info = entries[f"{root}data/{key}"]
            # Torch does not compress; a small file must not become a large one.
            if info.compress_type != zipfile.ZIP_STORED:
                raise ValueError("a compressed storage")
            return _Storage(dtype, archive.read(info)[: count * dtype.itemsize])

        with archive.open(program) as file:
            return _Unpickler(file, storage).load()


def _read_bare(path: Path) -> Any:
    storages: dict[str, _Storage] = {}

    def storage(dtype: np.dtype, key: str, count: int) -> _Storage:
        return storages.setdefault(key, _Storage(dtype))

    with path.open("rb") as file:

        def load() -> Any:
            return _Unpickler(file, storage).load()

        content = load()
        if content != _LEGACY[0]:
            return content
        if load() != _LEGACY[1]:
            raise ValueError("an unknown version of torch's format")
        load()  # of the machine that wrote it
        content = load()
        for key in load():
            count = int.from_bytes(file.read(8), "little")
            kept = storages[str(key)]
            kept.content = file.read(count * kept.dtype.itemsize)
        return content
