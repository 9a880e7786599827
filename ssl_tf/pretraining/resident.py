"""Images that stay in the memory of the devices (--resident), so that the host sends indices."""

import sys

import numpy as np
import tensorflow as tf

from ssl_tf.data.decoding import decode
from ssl_tf.data.source import Source
from ssl_tf.errors import SettingsError
from ssl_tf.pretraining.machine import Machine
from ssl_tf.views.canvases import canvas_bytes, fitted, on_canvas

# --resident=auto takes at most this part of the memory.
_SHARE = 0.25
_GIB = 2**30
_READ_AT_ONCE = 256


def should_be_resident(resident: str, count: int, side: int, machine: Machine) -> bool:
    """Whether the images are to stay on every device.

    Args:
        resident: auto, on or off.
        count: number of the images.
        side: of their canvases, in pixels.
        machine: of this process.

    Raises:
        SettingsError: `resident` is "on", and they take more than the memory.
    """
    memory = machine.gpu_memory if machine.gpus else machine.memory
    needed = canvas_bytes(count, side) / _GIB
    # While they are handed over, the host has them as NumPy's array, as a tensor, and as the
    # variable, if that is not on a GPU.
    on_host = needed * (2 if machine.gpus else 3)
    for place, has, takes in (("device", memory, needed), ("host", machine.memory, on_host)):
        if resident == "on" and takes > has:
            raise SettingsError(
                f"--resident=on: {count} canvases of {side} pixels take {takes:.1f} GiB of the "
                f"{place} while they are stored, and it has {has:.1f}; give --resident=off, or a "
                "smaller --canvas"
            )
    fits = needed <= _SHARE * memory and on_host <= machine.memory
    return resident == "on" or (resident == "auto" and fits)


class ResidentImages:
    """All images of a source, decoded, on every replica.

    Attributes:
        side: of their canvases, in pixels.
    """

    def __init__(self, source: Source, side: int, strategy: tf.distribute.Strategy):
        """Reads all images once.

        Args:
            source: counts the images that cannot be decoded.
            side: of the canvases, in pixels, a multiple of 4.
            strategy: whose replicas get a copy each.

        Raises:
            UserError: too many images are unreadable, or the stored data is damaged.
        """
        self.side = side

        def read(example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            example = decode(example, source.unreadable, side)
            image = fitted(example["image"], side)
            return {
                "canvas": on_canvas(image, side),
                "sides": example["sides"],
                "held": tf.shape(image)[:2],
                "readable": example["readable"],
                "index": example["index"],
            }

        pixels = np.zeros([source.size, side * side * 3], np.uint8)
        sides, held = np.zeros([2, source.size, 2], np.int32)
        readable = np.zeros([source.size], bool)
        print(
            f"{source.name}: decoding {source.size} images, {pixels.nbytes / _GIB:.2f} GiB on each "
            "device",
            file=sys.stderr,
        )
        batches = source.sequence().map(read, num_parallel_calls=tf.data.AUTOTUNE)
        for batch in source.read(batches.batch(_READ_AT_ONCE)):
            rows = batch["index"]
            pixels[rows] = batch["canvas"].reshape(len(rows), -1)
            sides[rows], held[rows] = batch["sides"], batch["held"]
            readable[rows] = batch["readable"]
        found = {"sides": sides, "held": held, "readable": readable}
        self._found = {name: tf.constant(values) for name, values in found.items()}
        # A GPU gathers no bytes, but words of eight.
        with strategy.scope():
            self._words = tf.Variable(
                pixels.view(np.int64),
                trainable=False,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

    def look_up(self, example: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """An example without its image, on the host.

        It has "sides" int32 [2] of the image, "held" int32 [2] of its copy on the canvas, and
        "readable" bool.
        """
        found = {n: tf.gather(values, example["index"]) for n, values in self._found.items()}
        return {**{k: v for k, v in example.items() if k != "image"}, **found}

    def canvases(self, index: tf.Tensor) -> tf.Tensor:
        """The images of int64 [N] on their canvases, uint8 [N, side, side, 3], on the device.

        Called in replica context.
        """
        words = tf.gather(self._words.value(), index)
        return tf.reshape(tf.bitcast(words, tf.uint8), [-1, self.side, self.side, 3])
