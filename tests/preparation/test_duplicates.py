"""Duplicates by banding are those of a slow loop over all pairs."""

import itertools

import numpy as np
import pytest
from PIL import Image

from ssl_tf.preparation import duplicates
from ssl_tf.preparation.duplicates import NEAR_BITS, LookAlikes, same_bytes
from ssl_tf.preparation.perceptual_hash import COLOURS, colours, perceptual_hash
from tests.preparation.odd_files import exif, io, saved


def flipped(value: int, bits) -> int:
    for bit in bits:
        value ^= 1 << int(bit)
    return value


def groups_of_all_pairs(hashes, shades):
    """The first row of the group of each row, by comparing all pairs until nothing changes."""
    first = list(range(len(hashes)))
    changed = True
    while changed:
        changed = False
        for a, b in itertools.combinations(range(len(hashes)), 2):
            near = bin(int(hashes[a]) ^ int(hashes[b])).count("1") <= NEAR_BITS
            close = np.abs(shades[a].astype(int) - shades[b]).mean() <= 8
            if near and close and first[a] != first[b]:
                first[a] = first[b] = min(first[a], first[b])
                changed = True
    return first


def alike(hashes, shades) -> np.ndarray:
    """Whether each pair of rows looks alike: bool [n, n]."""
    bits = [[bin(int(a) ^ int(b)).count("1") for b in hashes] for a in hashes]
    shades = shades.astype(int)
    apart = np.abs(shades[:, None] - shades[None]).mean(-1)
    return (np.array(bits) <= NEAR_BITS) & (apart <= 8)


@pytest.mark.parametrize("seed", range(3))
def test_groups_are_those_of_all_pairs(seed):
    random = np.random.default_rng(seed)
    hashes, shades = [], []
    for _ in range(20):
        base, shade = int(random.integers(2**63)), random.integers(0, 200, COLOURS)
        for _ in range(int(random.integers(1, 6))):
            bits = random.choice(64, int(random.integers(0, 8)), replace=False)
            hashes.append(flipped(base, bits))
            shades.append(shade + random.integers(0, 2) * 50)
    order = random.permutation(len(hashes))
    hashes = np.array(hashes, np.uint64)[order]
    shades = np.array(shades, np.uint8)[order]
    found = LookAlikes(hashes, shades)
    groups = found.groups().tolist()
    assert groups == groups_of_all_pairs(hashes, shades)
    assert len(set(groups)) < len(hashes)

    near, rows = alike(hashes, shades), range(len(hashes))
    assert found.firsts().tolist() == [int(np.argmax(near[row])) for row in rows]
    kept: list[int] = []
    expected = []
    for row in rows:
        in_its_place = [other for other in kept if near[row, other]]
        expected.append((in_its_place or [row])[0])
        kept += [] if in_its_place else [row]
    assert found.stand_ins().tolist() == expected

    labels = random.integers(0, 2, len(hashes))
    contradicted = (near & (labels[:, None] != labels)).any(axis=1)
    assert found.contradicted(labels).tolist() == contradicted.tolist()
    assert 0 < contradicted.sum() < len(hashes)


def test_a_chain_is_one_group_and_its_ends_stand_in_for_nobody_else():
    """As the frames of a fade between two photographs: each looks like the next ones alone."""
    hashes = np.array([(1 << bits) - 1 for bits in range(0, 64, 2)], np.uint64)
    found = LookAlikes(hashes, np.zeros([len(hashes), COLOURS], np.uint8))
    assert not found.groups().any()
    # Two steps are four bits, three are six.
    assert found.stand_ins().tolist() == [3 * (row // 3) for row in range(len(hashes))]
    assert found.firsts().tolist() == [max(0, row - 2) for row in range(len(hashes))]


def test_of_a_crowd_that_is_all_alike_one_is_kept():
    """A still camera's frames: each is compared with the next sixteen alone."""
    hashes = np.full(300, 5, np.uint64)
    shades = np.zeros([300, COLOURS], np.uint8)
    shades[:, :2] = np.stack([np.arange(300) % 100, np.arange(300) // 100], axis=1)
    found = LookAlikes(hashes, shades)
    assert not found.groups().any() and not found.stand_ins().any()


def test_five_bits_in_any_five_bands_are_found():
    base = 0x0123456789ABCDEF
    for bits in itertools.combinations((0, 12, 19, 30, 40, 50, 63), NEAR_BITS):
        hashes = np.array([base, flipped(base, bits)], np.uint64)
        assert LookAlikes(hashes, np.zeros([2, COLOURS], np.uint8)).groups().tolist() == [0, 0]


def test_the_time_does_not_grow_with_the_square():
    """Each of 3,000 equal hashes is compared with 16 others under each of 21 pairs of bands."""
    hashes = np.zeros(3000, np.uint64)
    pairs = np.concatenate(list(duplicates._candidates(hashes)), axis=1)
    assert pairs.shape[1] <= 21 * 16 * 3000 < 3000**2 / 2
    shades = np.arange(3000 * COLOURS).reshape(3000, COLOURS).astype(np.uint8)
    assert not LookAlikes(hashes, shades // 255).groups().any()


@pytest.mark.parametrize("count", [0, 1])
def test_few_images(count):
    hashes, shades = np.zeros(count, np.uint64), np.zeros([count, COLOURS], np.uint8)
    assert LookAlikes(hashes, shades).groups().tolist() == [0] * count
    assert same_bytes(np.zeros([count, 32], np.uint8)).tolist() == [0] * count


def test_same_bytes_name_the_first():
    digests = np.array([[9] * 32, [1] * 32, [9] * 32, [9] * 31 + [0]], np.uint8)
    assert same_bytes(digests).tolist() == [0, 1, 0, 3]


def scene(number: int) -> Image.Image:
    """Soft spots of all colours, drawn by number."""
    random = np.random.default_rng(number)
    small = random.integers(0, 256, [12, 16, 3], np.uint8)
    return Image.fromarray(small).resize((320, 240), Image.Resampling.BICUBIC)


def test_an_image_in_other_sizes_and_formats_looks_alike_and_others_do_not():
    images = []
    for number in range(30):
        image = scene(number)
        jpeg = Image.open(io.BytesIO(saved(image, "jpeg", quality=60, exif=exif(1))))
        images += [image, jpeg.convert("RGB"), image.resize((160, 120)), image.resize((256, 192))]
    hashes = np.array([perceptual_hash(image) for image in images], np.uint64)
    shades = np.stack([np.frombuffer(colours(image), np.uint8) for image in images])
    assert LookAlikes(hashes, shades).groups().tolist() == [
        4 * (n // 4) for n in range(len(images))
    ]


def test_plain_images_are_told_apart_by_their_colours():
    images = [Image.new("RGB", (40, 30), colour) for colour in ("red", "green", "red")]
    hashes = np.array([perceptual_hash(image) for image in images], np.uint64)
    shades = np.stack([np.frombuffer(colours(image), np.uint8) for image in images])
    assert LookAlikes(hashes, shades).groups().tolist() == [0, 1, 0]
