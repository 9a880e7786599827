"""From pixels to boxes: textured objects of four kinds, and a bank of fixed filters as encoder."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.data.source import IndexedSource
from ssl_tf.discovery import run
from ssl_tf.discovery.map_encoder import Encoder
from ssl_tf.settings import DiscoverSettings, flagfiles

HEIGHT, WIDTH, KINDS, HUES, IMAGES = 128, 160, 4, 8, 48


def texture(y, x, hue, angle, phase):
    """Stripes of one hue, float [H, W, 3]."""
    wave = 0.5 + 0.5 * np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / 8 + phase)
    color = 0.5 + 0.5 * np.cos(hue - np.arange(3) * 2 * np.pi / 3)
    return wave[..., None] * color


def paste(image, random, hue, angle, area):
    stretch = 2 ** random.uniform(-0.4, 0.4)
    height, width = (int(np.sqrt(area * HEIGHT * WIDTH) * s) for s in (1 / stretch, stretch))
    top, left = random.integers(4, HEIGHT - height - 4), random.integers(4, WIDTH - width - 4)
    y, x = np.mgrid[0:height, 0:width]
    patch = texture(y, x, hue, angle, random.uniform(0, 2 * np.pi))
    image[top : top + height, left : left + width] = patch
    return top, left, top + height, left + width


class Pasted(IndexedSource):
    """An object of a kind on smooth noise, and a texture as strong that comes only once."""

    def __init__(self):
        super().__init__("pasted", IMAGES)
        images, boxes = [], []
        for index in range(IMAGES):
            random = np.random.default_rng(index)
            ground = random.uniform(0.3, 0.7, [5, 6, 1]).astype(np.float32)
            image = np.repeat(tf.image.resize(ground, [HEIGHT, WIDTH], "bicubic").numpy(), 3, 2)
            kind = index % KINDS
            once = random.uniform(0, 2 * np.pi), random.uniform(0, np.pi)
            paste(image, random, *once, random.uniform(0.1, 0.25))
            angle = kind * np.pi / KINDS
            box = paste(image, random, kind * np.pi / 2, angle, random.uniform(0.1, 0.25))
            boxes.append(np.array(box) / [HEIGHT, WIDTH, HEIGHT, WIDTH])
            images.append(tf.io.encode_png((image.clip(0, 1) * 255).astype(np.uint8)))
        self._images, self._boxes = tf.stack(images), tf.constant(np.array(boxes), tf.float32)

    def _example(self, row):
        boxes = self._boxes[row][None]
        return {"id": tf.strings.as_string(row), "image": self._images[row], "boxes": boxes}


def filter_bank():
    """Hue times orientation, pooled to strides 4 and 8."""
    y, x = np.mgrid[-7:8, -7:8].astype(np.float32)
    kernels = []
    for angle in np.arange(KINDS) * np.pi / KINDS:
        wave = (x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / 8
        for part in (np.cos, np.sin):
            kernel = part(wave) * np.exp(-(x * x + y * y) / 18)
            kernels.append(kernel - kernel.mean())
    bank = tf.constant(np.stack(kernels, -1)[:, :, None], tf.float32)
    hues = np.arange(HUES) * 2 * np.pi / HUES
    primaries = np.arange(3) * 2 * np.pi / 3
    opponents = tf.constant(np.cos(hues[None] - primaries[:, None]), tf.float32)

    def respond(images, stride):
        images = tf.cast(images, tf.float32) / 255
        found = tf.nn.conv2d(tf.reduce_mean(images, -1, keepdims=True), bank, 1, "SAME")
        energy = tf.sqrt(found[..., ::2] ** 2 + found[..., 1::2] ** 2 + 1e-12)
        color = tf.nn.avg_pool2d(tf.nn.relu(tf.tensordot(images, opponents, 1)), 9, 1, "SAME")
        both = (color[..., None] * energy[..., None, :]) ** 2
        both = tf.reshape(both, [*both.shape[:3], HUES * KINDS])
        return tf.nn.avg_pool2d(both, stride, stride, "SAME")

    def maps(images):
        return [respond(images, 4), respond(images, 8)]

    return Encoder(maps, lambda images: tf.reduce_mean(respond(images, 8), [1, 2]), ("4", "8"))


def test_comparing_images_finds_what_saliency_and_chance_do_not(tmp_path, monkeypatch):
    source, encoder = Pasted(), filter_bank()
    monkeypatch.setattr(run, "open_training_source", lambda data: (source, None))
    monkeypatch.setattr(run, "open_encoder", lambda features: encoder)
    monkeypatch.setattr(
        "ssl_tf.data.sources.opening.open_training_source", lambda data: (source, None)
    )
    monkeypatch.setattr("ssl_tf.discovery.feature_maps.open_encoder", lambda features: encoder)
    flags = (
        f"--flagfile={Path(__file__).parents[2] / 'configs' / 'lod_scaled.flags'} "
        "--dataset=scenes --encoder=bank --workers=1 --boxes=ground_truth --sheet_images=0 "
        "--long_side=0 --descriptor_projection=8 "
        "--square_side=128 --max_regions=60 --neighbours=8 --descriptor_norm=center_l2"
    )
    settings = flagfiles.parse([*flags.split(), f"--output={tmp_path / 'out'}"], DiscoverSettings)
    run.discover(settings)
    measured = json.loads((tmp_path / "out" / "metrics.json").read_text())
    corloc = {name: one["corloc"] for name, one in measured.items() if name != "images"}
    assert measured["all proposals"]["detection_rate"] >= 0.9
    blind = ("centre box, half the sides", "centre box, half the area", "full image")
    assert corloc["lod"] >= 2 * max(corloc[name] for name in (*blind, "random proposals"))
    assert corloc["lod"] >= corloc["most salient box"] + 0.05
