"""Containers, numbers, text and arrays of NumPy in a pickle, read without running anything in it.

A pickle is a program. Here it can call nothing but functions that keep values: those of this file
and those that the caller adds. A name that is none of theirs ends the reading. Memory has no bound:
a hostile file may still take all there is.
"""

import contextlib
import math
import pickle
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO, Self

import numpy as np

from ssl_tf.errors import UserError

_NUMBERS_OR_TEXT = re.compile(r"[biuf][1248]|[SU]\d{1,9}")


class Refused(UserError):
    """A pickle that names something that is not read, as the end of a sentence."""


class Call:
    """A function that a pickle may call and cannot change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a state for a function")


class _Dtype:
    """A dtype of NumPy: its name, and the byte order that follows as its state."""

    def __init__(self, name: str, *_: Any):
        self.name, self.order = name, "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = {"|": "<", "=": "<"}.get(state[1], state[1])
        if self.order not in ("<", ">"):
            raise ValueError(f"the byte order {self.order!r}")

    @property
    def of_objects(self) -> bool:
        return self.name in ("O", "O4", "O8")

    def dtype(self) -> np.dtype:
        if not _NUMBERS_OR_TEXT.fullmatch(self.name):
            raise ValueError(f"an array of {self.name}")
        return np.dtype(self.order + self.name)


class PickledArray:
    """An array of NumPy in a pickle; its content follows as its state."""

    def __init__(self, *_: Any):
        self.shape, self.dtype, self.fortran, self.content = (0,), _Dtype("f4"), False, b""

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.dtype, self.fortran, self.content = state

    @classmethod
    def of_buffer(cls, content: bytes, dtype: _Dtype, shape: tuple, order: str) -> Self:
        """An array as protocol 5 has it."""
        array = cls()
        array.__setstate__((1, shape, dtype, order == "F", content))
        return array

    def array(self, of: Callable[[Any], Any] = lambda value: value) -> np.ndarray:
        """The array: of numbers, of text or of objects, each object as `of` makes it.

        Raises:
            ValueError: it is of something else, or its content has another size.
        """
        if self.dtype.of_objects:
            if not isinstance(self.content, list) or len(self.content) != math.prod(self.shape):
                raise ValueError("an array of another size than its content")
            objects = np.empty(len(self.content), object)
            for place, value in enumerate(self.content):
                objects[place] = of(value)
            # NumPy lists objects row by row, whatever their order in memory was.
            return objects.reshape(self.shape)
        # Text is what Python 2 called bytes.
        content = self.content
        content = content.encode("latin1") if isinstance(content, str) else content
        values = np.frombuffer(content, self.dtype.dtype())
        return values.reshape(self.shape, order="F" if self.fortran else "C").copy()


def _scalar(dtype: _Dtype, content: bytes | str) -> Any:
    """A number or text of NumPy; None for one of another kind, such as a date."""
    try:
        return PickledArray.of_buffer(content, dtype, (), "C").array()[()]
    except ValueError:
        return None


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise ValueError(f"text in {encoding}")
    return text.encode("latin1")


# What any pickle may name -> what it gets: a function of this file, or the name alone.
_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Call(OrderedDict),
    ("_codecs", "encode"): Call(_encode),
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): Call(_Dtype),
    **{
        (f"numpy.{core}.{module}", name): Call(value)
        for core in ("core", "_core")
        for module, name, value in (
            ("multiarray", "_reconstruct", PickledArray),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", PickledArray.of_buffer),
        )
    },
}


class ClosedUnpickler(pickle.Unpickler):
    """Builds containers, numbers, text and what may be named."""

    def __init__(
        self,
        file: BinaryIO,
        wanted: str,
        way_out: str,
        names: Mapping[tuple[str, str], Any] | None = None,
    ):
        """Keeps what may be named.

        Args:
            file: of the pickle, at its beginning.
            wanted: what the names of a readable pickle are, for the message.
            way_out: what to do with a pickle that names something else, a sentence.
            names: (module, name) -> what stands for it, beside what this file has.
        """
        # Files of Python 2 have text without an encoding.
        super().__init__(file, encoding="latin1")
        self._wanted, self._way_out = wanted, way_out
        self._names = {**_NAMES, **(names or {})}

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._names[module, name]
        except KeyError:
            raise Refused(
                f"names {module}.{name}, which is no {self._wanted}; nothing of it was run. "
                f"{self._way_out}"
            ) from None


@contextlib.contextmanager
def damage_told() -> Iterator[None]:
    """Turns whatever a damaged pickle raises into a ValueError.

    Raises:
        UserError, OSError: as they are.
        ValueError: anything else.
    """
    try:
        yield
    except (UserError, OSError):
        raise
    except Exception as error:
        # A damaged program can fail in any way, and all of it is its own.
        raise ValueError(f"{type(error).__name__}: {error}") from None


def plain(value: Any) -> Any:
    """What was read, with NumPy's arrays in the place of what stood for them.

    What a small pickle has many times over remains one object.
    """
    made: dict[int, Any] = {}

    def of(value: Any) -> Any:
        if id(value) not in made:
            made[id(value)] = converted(value)
        return made[id(value)]

    def converted(value: Any) -> Any:
        if isinstance(value, PickledArray):
            return value.array(of)
        if isinstance(value, dict):
            return {of(key): of(inner) for key, inner in dict.items(value)}
        if isinstance(value, list | tuple):
            return type(value)(of(inner) for inner in value)
        return value

    return of(value)
