"""Sets of numbered files tell what they lack, each by itself."""

import pytest

from ssl_tf.data.sources.numbered_files import absent_files
from ssl_tf.errors import listed


@pytest.mark.parametrize(
    "names, told",
    [
        (["t-0-of-2.x", "t-1-of-2.x", "v-1-of-2.x"], ["1 of 2 such as v-0-of-2.x"]),
        (["t-1-of-2", "t-2-of-2"], []),
        (["t-1-of-3", "t-3-of-3"], ["1 of 3 such as t-2-of-3"]),
        (
            ["t-00-of-9999999999"],
            ["9999999998 of 9999999999 such as t-0000000001-of-9999999999"],
        ),
        (["t-0-of-2", "other"], []),
        (["a-0-of-3/x", "a-0-of-3/y"], []),
    ],
)
def test_each_numbered_set_is_looked_at(names, told):
    assert absent_files([f"/d/{name}" for name in names]) == told


def test_a_list_ends_in_an_ellipsis_where_names_are_left_out():
    assert [listed("abc"[:n], 2) for n in range(4)] == ["", "a", "a, b", "a, b, ..."]
