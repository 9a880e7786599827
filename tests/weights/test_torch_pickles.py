import os
import pickle
import zipfile

import numpy as np
import pytest
from ml_dtypes import bfloat16

from ssl_tf.pickles import Refused
from ssl_tf.weights.torch_pickles import read_pickle
from tests.weights.torch_files import Tensor, save_legacy, save_zip, tensors

ARRAYS = {
    "conv1.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "bn1.num_batches_tracked": np.array(7),
    "half": np.float16([0.5, 2]),
    "double": np.array([[1e300]]),
    "short": np.array([1, -2], bfloat16),
}


@pytest.mark.parametrize("save", [save_zip, save_legacy])
def test_tensors_are_read_by_their_names_and_nothing_else_is(save, tmp_path):
    path = tmp_path / "file.pth"
    content = {"epoch": 3, "state_dict": tensors(ARRAYS), "names": ["a", Tensor(ARRAYS["half"])]}
    save(content, path)
    found = read_pickle(path)
    assert found.keys() == {f"state_dict.{name}" for name in ARRAYS}
    for name, array in ARRAYS.items():
        read = found[f"state_dict.{name}"]
        assert (read.dtype, read.shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(read, array)


def test_views_of_one_storage_are_told_apart(tmp_path):
    memory = np.arange(12, dtype=np.float32)
    views = {"turned": Tensor(memory, 1, (2, 3), (1, 4)), "last": Tensor(memory, 11, (), ())}
    save_zip(views, tmp_path / "file.pth")
    found = read_pickle(tmp_path / "file.pth")
    np.testing.assert_array_equal(found["turned"], [[1, 5, 9], [2, 6, 10]])
    assert found["last"] == 11


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_arrays_of_numpy_are_read(protocol, tmp_path):
    arrays = {
        "stem.conv1.weight": np.random.default_rng(0).normal(size=[2, 3, 4]).astype(np.float32),
        "transposed": np.arange(6.0).reshape(2, 3).T,
        "swapped": np.arange(3, dtype=">i4"),
    }
    content = {"model": arrays, "__author__": "somebody", "best": np.float64(0.5)}
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(content, protocol))
    found = read_pickle(tmp_path / "file.pkl")
    assert found.keys() == {f"model.{name}" for name in arrays}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[f"model.{name}"], array)


def test_a_file_of_python_2_has_its_bytes_as_text(tmp_path):
    # Protocol 0, as Caffe2's files: the array's content is a str.
    program = (
        b"(dp0\nS'conv1_w'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n"
        b"(I0\ntp4\nS'b'\np5\ntp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'f4'\np10\nI0\nI1\n"
        b"tp11\nRp12\n(I3\nS'<'\np13\nNNNI-1\nI-1\nI0\ntp14\nbI00\n"
        b"S'\\x00\\x00\\x80?\\x00\\x00\\x00\\xc0'\np15\ntp16\nbs."
    )
    (tmp_path / "file.pkl").write_bytes(program)
    np.testing.assert_array_equal(read_pickle(tmp_path / "file.pkl")["conv1_w"], [1, -2])


class Trap:
    """Makes a file when a pickle of it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("write", [
    lambda content, path: path.write_bytes(pickle.dumps(content)),
    save_zip,
    save_legacy,
])  # fmt: skip
def test_a_booby_trap_is_not_sprung(write, tmp_path):
    path, sprung = tmp_path / "file.pth", tmp_path / "sprung"
    write({"state_dict": tensors({}), "trap": Trap(sprung)}, path)
    with pytest.raises(Refused, match=r"names posix.system, which is no tensor; nothing of it was"):
        read_pickle(path)
    assert not sprung.exists()
    # It is one: the same bytes, loaded as usual.
    pickle.loads(pickle.dumps(Trap(sprung)))
    assert sprung.exists()


@pytest.mark.parametrize(
    "program",
    [
        # Programs that reach further from what may be named: by an attribute, by a state that
        # changes a function, by an array of objects, by text in another encoding.
        b"\x80\x04\x8c\x0bcollections\x8c\x14OrderedDict.fromkeys\x93.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"c_codecs\nencode\n}S'__defaults__'\nNsb.",
        b"(dS'a'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
        b"(I1\n(I1\ntcnumpy\ndtype\n(S'O8'\nI0\nI1\ntRI00\n(lp1\ntbs.",
        b"c_codecs\nencode\n(S'a'\nS'rot13'\ntR.",
        b"ctorch\nFloatStorage\n}S'a'\nNsb.",
    ],
)
def test_other_ways_out_are_closed(program, tmp_path):
    (tmp_path / "file.pkl").write_bytes(program)
    with pytest.raises((Refused, ValueError)):
        read_pickle(tmp_path / "file.pkl")


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(np.zeros(4, np.float32), 1, (4,), (1,)),
        Tensor(np.zeros(4, np.float32), 0, (2, 2), (3, 1)),
        Tensor(np.zeros(4, np.float32), 2, (2,), (-1,)),
        # A small file must not become a large one.
        Tensor(np.zeros(4, np.float32), 0, (10**6, 10**6), (0, 0)),
    ],
)
def test_a_tensor_stays_inside_its_storage(tensor, tmp_path):
    save_zip({"a": tensor}, tmp_path / "file.pth")
    with pytest.raises(ValueError, match="its storage"):
        read_pickle(tmp_path / "file.pth")


def test_damaged_files_are_told(tmp_path):
    path = tmp_path / "file.pth"
    for save in (save_zip, save_legacy):
        save(tensors(ARRAYS), path)
        whole = path.read_bytes()
        for length in (0, 3, len(whole) // 3, len(whole) - 20):
            path.write_bytes(whole[:length])
            with pytest.raises(ValueError):
                read_pickle(path)
    save_zip(tensors(ARRAYS), path, zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match="compressed"):
        read_pickle(path)
