import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from ssl_tf.data.npy_files import read_npy
from ssl_tf.pickles import Refused

CONTENT = {
    "0007_1.jpg": [0, 0.5, 40, np.int64(20)],
    "0007_0.jpg": np.array([8, 2, 24, 10]),
    "data": np.array([["a", "0.25"], ["b", "1"]]),
    "mixed": {"data": np.array(["a", 1, [2]], object)},
    "ordered": OrderedDict(a=(np.float32(0.5), np.str_("text"), True, None)),
    "swapped": np.arange(3, dtype=">i4"),
    "columns": np.array([["a", 1], ["b", 2], ["c", 3]], object).T,
    "turned": np.arange(6.0).reshape(2, 3).T,
}  # fmt: skip


def same(found, wanted):
    """Whether the values, types and orders are equal; an array may have another byte order."""
    assert type(found) is type(wanted)
    if isinstance(wanted, np.ndarray):
        assert found.dtype.newbyteorder("=") == wanted.dtype.newbyteorder("=")
        return found.shape == wanted.shape and all(map(same, found.ravel(), wanted.ravel()))
    if isinstance(wanted, dict):
        return list(found) == list(wanted) and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, list | tuple):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted


def bare(path, content, protocol):
    path.write_bytes(pickle.dumps(content, protocol))


def inside(path, content, protocol):
    """As `numpy.save`, with any protocol."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "|O", "fortran_order": False, "shape": ()}
        )
        pickle.dump(np.array(content, object), file, protocol)


@pytest.mark.parametrize("write", [bare, inside])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_are_those_of_numpy_itself(write, protocol, tmp_path):
    path = tmp_path / "a.npy"
    write(path, CONTENT, protocol)
    loaded = np.load(path, allow_pickle=True)  # written above
    loaded = loaded if write is bare else loaded.item()
    assert same(read_npy(str(path)), loaded | {"ordered": dict(loaded["ordered"])})


@pytest.mark.parametrize(
    "array", [np.arange(6).reshape(2, 3), np.array(["a", "bc"]), np.array([{"a": 1}, [2]], object)]
)
def test_arrays_are_those_of_numpy_itself(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    assert same(read_npy(str(tmp_path / "a.npy")), array)


class Trap:
    """Makes a file when a pickle of it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("write", [bare, inside])
def test_a_booby_trap_is_not_sprung(write, tmp_path):
    write(tmp_path / "a.npy", {"a": Trap(tmp_path / "sprung")}, 4)
    with pytest.raises(Refused, match="names posix.system, which is no number, text or array"):
        read_npy(str(tmp_path / "a.npy"))
    assert not (tmp_path / "sprung").exists()


def test_a_small_file_stays_small(tmp_path):
    # Ten references to a list of ten references, thirty times over: 10**30 entries if each were
    # made by itself.
    content = [0]
    for _ in range(30):
        content = [content] * 10
    inside(tmp_path / "a.npy", {"a": content}, 4)
    found = read_npy(str(tmp_path / "a.npy"))["a"]
    assert len(found) == 10 and found[0] is found[9]


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"


@pytest.mark.parametrize(
    "program",
    [
        # An array of more objects than there are, one of more numbers, one of no kind, a list that
        # holds itself.
        RECONSTRUCT + b"(I1\n(I999999999999\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntRI00\n(lb.",
        RECONSTRUCT + b"(I1\n(I999999999999\ntcnumpy\ndtype\n(S'f8'\nI0\nI1\ntRI00\nS'a'\nb.",
        RECONSTRUCT + b"(I1\n(I1\ntcnumpy\ndtype\n(S'V8'\nI0\nI1\ntRI00\nS'12345678'\nb.",
        b"(lp0\ng0\na.",
        b"\x80\x04garbage",
        b"\x93NUMPY\x01\x00\xff\xff{",
        b"",
    ],
)
def test_damage_is_told(program, tmp_path):
    (tmp_path / "a.npy").write_bytes(program)
    with pytest.raises(ValueError):
        read_npy(str(tmp_path / "a.npy"))
