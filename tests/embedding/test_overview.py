import numpy as np

from ssl_tf.embedding.overview import random_cosines, spread
from ssl_tf.embedding.thumbnails import read_thumbnails
from tests.data.opened import source_of
from tests.data.tiny_images import example, picture, png, write_folder, write_records


def test_numbers_are_evenly_spaced():
    assert spread(10, 5).tolist() == [1, 3, 5, 7, 9]
    assert spread(3, 12).tolist() == [0, 1, 2]
    assert spread(1_000_000_000, 2).tolist() == [250_000_000, 750_000_000]
    assert spread(0, 4).tolist() == []


def test_random_pairs_are_of_different_rows():
    unit = np.float32([[1, 0], [0, 1], [-1, 0]])
    values, counts = np.unique(random_cosines(unit), return_counts=True)
    assert values.tolist() == [-1, 0]
    # Two of the three pairs are orthogonal.
    np.testing.assert_allclose(counts / counts.sum(), [1 / 3, 2 / 3], atol=0.02)
    assert random_cosines(unit[:1]).size == 0


def test_thumbnails_are_of_their_images_in_folders_and_record_files(tmp_path):
    numbers = range(7)
    write_folder(tmp_path / "images", {f"{n}.png": png(n) for n in numbers})
    records = [example(image__encoded=png(n)) for n in numbers]
    files = write_records(tmp_path / "a.tfrecord", records)
    for source in (
        source_of(image_folder=str(tmp_path / "images")),
        source_of(tfrecord=files),
    ):
        found = read_thumbnails(source, np.array([5, 0, 5, 3]))
        assert sorted(found) == [0, 3, 5]
        for index, pixels in found.items():
            np.testing.assert_array_equal(pixels, picture(index)[:, 1:7])


def test_a_large_image_shrinks_to_the_means_of_its_squares(tmp_path):
    write_folder(tmp_path, {"a.png": png(1, 480, 640)})
    (pixels,) = read_thumbnails(source_of(image_folder=str(tmp_path)), np.array([0])).values()
    squares = picture(1, 480, 640)[:, 80:560].reshape(160, 3, 160, 3, 3)
    # Pillow rounds the means of rows, then those of columns.
    np.testing.assert_allclose(pixels, squares.mean(axis=(1, 3)), atol=1.01)
