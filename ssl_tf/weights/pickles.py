"""Tensors in torch's and Detectron2's pickles, read without running anything in them.

A pickle is a program. Here it can call nothing but the functions of this file, which keep numbers;
a name that is none of theirs ends the reading. Torch itself is not needed.
"""

import math
import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from ml_dtypes import bfloat16

from ssl_tf.errors import UserError

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
_DTYPE = re.compile(r"[biuf][1248]")


class Refused(UserError):
    """A pickle that names something else than tensors, as the end of a sentence."""


class _Storage:
    """The numbers of one or more tensors; those of an old file are read after its tensors."""

    def __init__(self, dtype: np.dtype, content: bytes = b""):
        self.dtype, self.content = dtype, content


class _Call:
    """A function that a pickle may call and cannot change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a state for a function")


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


class _NumpyDtype:
    """A dtype of NumPy: its name, and the byte order that follows as its state."""

    def __init__(self, name: str, *_: Any):
        self.name, self.order = name, "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = {"|": "<", "=": "<"}.get(state[1], state[1])

    def dtype(self) -> np.dtype:
        if not _DTYPE.fullmatch(self.name):
            raise ValueError(f"an array of {self.name}")
        return np.dtype(self.order + self.name)


class _NumpyArray:
    """An array of NumPy; its content follows as its state."""

    def __init__(self, *_: Any):
        self.shape, self.dtype, self.fortran, self.content = (0,), _NumpyDtype("f4"), False, b""

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.content = state

    @classmethod
    def of_buffer(cls, content: bytes, dtype: _NumpyDtype, shape: tuple, order: str) -> Self:
        """An array as protocol 5 has it."""
        array = cls()
        array.__setstate__((1, shape, dtype, order == "F", content))
        return array

    def array(self) -> np.ndarray:
        # Text is what Python 2 called bytes.
        content = self.content
        content = content.encode("latin1") if isinstance(content, str) else content
        numbers = np.frombuffer(content, self.dtype.dtype())
        return numbers.reshape(self.shape, order="F" if self.fortran else "C").copy()


def _numpy_scalar(dtype: _NumpyDtype, content: bytes | str) -> None:
    """A number beside the tensors, which nothing reads."""


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"text in {encoding}")
    return text.encode("latin1")


# What a pickle may name -> what it gets: a function of this file, or the name alone.
_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Call(OrderedDict),
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_TorchTensor),
    ("torch._utils", "_rebuild_parameter"): _Call(lambda data, *_: data),
    ("torch", "Size"): _Call(tuple),
    ("_codecs", "encode"): _Call(_encode),
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _Call(_NumpyDtype),
    **{("torch", name): name for name in _STORAGES},
    **{
        (f"numpy.{core}.{module}", name): _Call(value)
        for core in ("core", "_core")
        for module, name, value in (
            ("multiarray", "_reconstruct", _NumpyArray),
            ("multiarray", "scalar", _numpy_scalar),
            ("numeric", "_frombuffer", _NumpyArray.of_buffer),
        )
    },
}


class _Unpickler(pickle.Unpickler):
    """Builds containers, numbers, text and what `_NAMES` has."""

    def __init__(self, file: BinaryIO, storage: Callable[[np.dtype, str, int], _Storage]):
        # Detectron2's files are of Python 2, whose text has no encoding.
        super().__init__(file, encoding="latin1")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[module, name]
        except KeyError:
            raise Refused(
                f"names {module}.{name}, which is no tensor; nothing of it was run. Save the "
                "tensors alone, as safetensors"
            ) from None

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
    try:
        content = _read_zip(path) if zipfile.is_zipfile(path) else _read_bare(path)
        return {name: value.array() for name, value in _flat("", content)}
    except (UserError, OSError):
        raise
    except (Exception, RecursionError) as error:
        # A damaged program can fail in any way, and all of it is its own.
        raise ValueError(f"{type(error).__name__}: {error}") from None


def _flat(prefix: str, value: Any) -> Any:
    """Yields (name, tensor) of nested dictionaries."""
    if isinstance(value, _TorchTensor | _NumpyArray):
        yield prefix, value
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
