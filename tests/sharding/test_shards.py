import io
import zipfile

import numpy as np
import pytest

from ssl_tf.discovery.graph import make_block, read_block, write_block
from ssl_tf.errors import UserError
from ssl_tf.sharding import shards


def whole_npz():
    file = io.BytesIO()
    np.savez(file, start=np.int64(0), count=np.arange(40))
    return file.getvalue()


def whole_npy():
    file = io.BytesIO()
    np.save(file, np.arange(40))
    return file.getvalue()


def archive(name, content):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        zipped.writestr(name, content)
    return file.getvalue()


DAMAGED = {
    "empty": b"",
    "text": b"not an array",
    "zeros": bytes(200),
    "cut npz": whole_npz()[:300],
    "cut by a byte": whole_npz()[:-1],
    "head of an npz": whole_npz()[:4],
    "other bytes in an npz": whole_npz().replace(b"NUMPY", b"XUMPY"),
    "cut array in an npz": archive("count.npy", whole_npy()[:90]),
    "no array in an npz": archive("count.npy", b"text"),
    "objects": archive("count.npy", b""),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_npz_is_one_line_with_its_remedy(tmp_path, content):
    path = tmp_path / "000000.npz"
    path.write_bytes(content)
    with pytest.raises(UserError) as told:
        shards.read_arrays(path)["count"].sum()
    assert str(path) in str(told.value) and "remove it, it is recomputed" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"text", bytes(200), whole_npy()[:6], whole_npy()[:90], whole_npy()[:-1], whole_npz()],
)
def test_a_damaged_npy_is_one_line_with_its_remedy(tmp_path, content):
    path = tmp_path / "lod.npy"
    path.write_bytes(content)
    with pytest.raises(UserError, match="remove it, it is recomputed"):
        shards.read_array(path)


def test_an_array_that_an_npz_lacks_is_named_with_the_file(tmp_path):
    shards.write_arrays(tmp_path / "a.npz", count=np.arange(3))
    with pytest.raises(UserError, match="a.npz lacks readable: remove it"):
        shards.read_arrays(tmp_path / "a.npz")["readable"]


def test_a_block_whose_arrays_do_not_fit_each_other_is_one_line(tmp_path):
    path = tmp_path / "000000.npz"
    write_block(path, make_block(0, 2, np.array([0, 1]), np.array([1, 3]), np.ones(2)))
    whole = shards.read_arrays(path)
    assert read_block(path).matches.sum() == 2
    shards.write_arrays(path, **{**whole, "indices": whole["indices"][:1]})
    with pytest.raises(UserError, match="000000.npz cannot be read"):
        read_block(path)
