"""Outputs of `prepare` are read and decoded beside the images of the settings, on demand."""

import pytest

from ssl_tf.benchmarking import HOST_OF, READING, reading
from ssl_tf.benchmarking.floor import BATCH
from ssl_tf.errors import UserError
from ssl_tf.settings import InputBenchmarkSettings, flagfiles
from ssl_tf.views.recipe import Recipe
from tests.data.sources.test_prepared import write, write_raw
from tests.data.tiny_images import png, write_folder


def contenders(folder, *flags):
    settings = flagfiles.parse([f"--image_folder={folder}", *flags], InputBenchmarkSettings)
    return reading.contenders(settings, Recipe(settings.pretrain.views))


def test_prepared_images_are_read_beside_the_originals(tmp_path):
    (tmp_path / "small").mkdir(), (tmp_path / "raw").mkdir()
    folder = write_folder(tmp_path / "images", {f"{n}.png": png(n) for n in range(3)})
    small = write(tmp_path / "small", {"train": [3]})
    raw = write_raw(tmp_path / "raw", [3])
    found = contenders(folder, f"--beside={small},{raw}/")
    assert [made.name for made in found] == [
        *(READING, f"{READING}, small", f"{HOST_OF}, small", f"{READING}, raw", f"{HOST_OF}, raw")
    ]
    for made in found:
        batches = made.start()
        assert [next(batches) for _ in range(3)] == [BATCH] * 3
    assert contenders(folder) == []
    # Two of one name are told by their paths.
    twice = contenders(folder, f"--beside={small},{raw}/../small")
    assert len({made.name for made in twice}) == 5


def test_what_is_no_output_of_prepare_is_told(tmp_path):
    folder = write_folder(tmp_path, {"0.png": png(0)})
    with pytest.raises(UserError, match="it is no result of prepare"):
        contenders(folder, f"--beside={folder}")
