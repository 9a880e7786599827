import pytest

from ssl_tf.data.annotation_marks import is_set


@pytest.mark.parametrize("group", ["1", "1.0", "True", " true"])
def test_groups_are_groups_however_a_program_wrote_them(group):
    assert is_set(group)
    assert not any(map(is_set, ("0", "0.0", "False", "-1", "-1.0", "")))
    with pytest.raises(ValueError, match="is '2'; write 1 or 0"):
        is_set("2")
