"""Whether the encoder in a Keras file computes what ours does, by the graph in its config.

Its tensors do not tell: pools and other layers may have none, and nothing in them orders layers.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ssl_tf.errors import UserError
from ssl_tf.networks.batch_normalization import EPSILON
from ssl_tf.weights.keras_names import keras_modules, of_applications

_CONVOLUTIONS = ("Conv2D", "PaddedConv2D", "PointwiseConv2D")
_NORMALIZATIONS = ("BatchNormalization", "SyncBatchNormalization")
# They do nothing but in training.
_IDLE = (
    "Dropout",
    "SpatialDropout2D",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
)
# The kernel of the stem of ImageNet, which has a pool behind it.
_LARGE = [7, 7]


def check_graph(layers: list[dict[str, Any]], strided_in_first: bool) -> None:
    """Refuses an encoder that has other layers than ours, or the same in another order.

    What is beside the encoder, or behind its last ReLU, is not looked at. An encoder without some
    of its convolutions or normalizations passes: their tensors are missing, too.

    Args:
        layers: of a whole model, as the config of Keras 2 or of Keras 3 has them.
        strided_in_first: the first convolution of a bottleneck has the stride, else the second.

    Raises:
        UserError: names a layer and its class, as the end of a sentence.
    """
    graph = _Graph(layers)
    if "conv1" not in graph.layers:
        return
    taken, last, added = _expected(graph, strided_in_first)
    if not taken.keys() <= graph.layers.keys():
        return
    _check_images(graph)
    for layer, module in graph.modules.items():
        if graph.taken(layer) != taken.get(module):
            raise graph.differs(layer, "in another place, or with other strides,")
    _check_end(graph, graph.layers[last], added)


class _Graph:
    """The layers of a config and what they compute.

    A value is a number, the same for the same operation on the same values.

    Attributes:
        modules: layer -> torchvision's module, in the order of the config.
        layers: torchvision's module -> layer.
    """

    def __init__(self, layers: list[dict[str, Any]]):
        self._all = {layer["config"]["name"]: layer for layer in layers}
        self._inputs = {
            name: [*_named(layer.get("inbound_nodes"))] for name, layer in self._all.items()
        }
        known = keras_modules(self._all)
        self.modules = {name: known[name] for name in self._all if name in known}
        self.layers = {module: layer for layer, module in self.modules.items()}
        self._numbers: dict[tuple, int] = {}
        self._values: dict[str, int] = {}

    def kind(self, layer: str) -> str:
        """The class of a layer, without its package."""
        return self._all[layer]["class_name"].rpartition(">")[2]

    def config(self, layer: str) -> dict[str, Any]:
        """The arguments that a layer was made with."""
        return self._all[layer]["config"]

    def behind(self, layer: str) -> list[str]:
        """The layers that take the output of a layer."""
        return [name for name, inputs in self._inputs.items() if layer in inputs]

    def source(self, layer: str) -> str:
        """The layer whose output a layer takes, which has one input; idle ones are passed."""
        if len(self._inputs[layer]) != 1:
            raise self.differs(layer, "with other inputs")
        before = self._inputs[layer][0]
        return self.source(before) if self.kind(before) in _IDLE else before

    def unpadded(self, layer: str) -> tuple[str, list[list[int]]]:
        """The layer in front of a layer and of its padding, and the zeros at the four borders."""
        source = self.source(layer)
        if self.kind(source) == "ZeroPadding2D":
            return self.source(source), self.config(source)["padding"]
        return source, [[0, 0], [0, 0]]

    def number(self, *operation: Any) -> int:
        """The value of an operation: its name, and the values that it takes."""
        return self._numbers.setdefault(operation, len(self._numbers))

    def value(self, layer: str) -> int:
        """The value of a layer.

        Raises:
            UserError: our encoders have no such layer.
        """
        if layer not in self._values:
            self._values[layer] = self._value(layer)
        return self._values[layer]

    def _value(self, layer: str) -> int:
        kind, config = self.kind(layer), self.config(layer)
        if layer in self.modules and kind in _CONVOLUTIONS + _NORMALIZATIONS:
            return self.number(self.modules[layer])
        if kind == "InputLayer":
            return self.number("images")
        if kind in _IDLE:
            return self.value(self.source(layer))
        if _is_relu(kind, config):
            return self.number("relu", self.value(self.source(layer)))
        if kind == "Add":
            return self.number("add", *sorted(map(self.value, self._inputs[layer])))
        if kind == "MaxPooling2D":
            source, zeros = self.unpadded(layer)
            found = config["pool_size"], config["strides"], config["padding"], zeros
            if found == ([3, 3], [2, 2], "valid", [[1, 1], [1, 1]]):
                return self.number("pool", self.value(source))
        raise UserError(
            f"has {kind} {layer} inside the encoder, which ours has not; give a plain ResNet"
        )

    def taken(self, layer: str) -> tuple[int, list[int]]:
        """The value that a convolution or normalization takes, and its strides.

        Raises:
            UserError: it is none, or computes something else than that of ours.
        """
        self.value(layer)
        config = self.config(layer)
        if self.kind(layer) in _NORMALIZATIONS:
            # That of keras.applications is larger by 1e-8, which goes into the variances.
            if abs(config.get("epsilon", EPSILON) - EPSILON) > 1e-7:
                raise self.differs(layer, "with another epsilon")
            return self.value(self.source(layer)), [1, 1]
        source, zeros = self.unpadded(layer)
        border, strides = config["kernel_size"][0] // 2, config["strides"]
        # With strides, Keras's own padding is not the same on all sides.
        keras_pads = config["padding"] == "same" and strides == [1, 1]
        is_padded = zeros == [[0 if keras_pads else border] * 2] * 2
        if not (is_padded and (keras_pads or config["padding"] == "valid")):
            raise self.differs(layer, "with another padding")
        if config["dilation_rate"] != [1, 1] or config["activation"] != "linear":
            raise self.differs(layer, "with another dilation or activation")
        pool = self.config(source)
        if border == 0 and self.kind(source) == "MaxPooling2D" and pool["pool_size"] == [1, 1]:
            # The stride of a 1x1 convolution, as `ssl_tf.export` may write it.
            strides = [a * b for a, b in zip(strides, pool["strides"])]
            source = self.source(source)
        return self.value(source), strides

    def differs(self, layer: str, how: str) -> UserError:
        """The error of a layer of the encoder."""
        return UserError(f"has {self.kind(layer)} {layer} {how} than ours; give a plain ResNet")


def _named(nodes: Any) -> Iterator[str]:
    """The layers whose outputs a layer takes, by its `inbound_nodes`."""
    match nodes:
        case {"keras_history": [str(name), *_]}:  # of Keras 3
            yield name
        case dict():
            yield from _named([*nodes.values()])
        case [str(name), int(), int(), *arguments]:  # of Keras 2
            yield name
            yield from _named(arguments)
        case list():
            for node in nodes:
                yield from _named(node)


def _is_relu(kind: str, config: dict[str, Any]) -> bool:
    if kind == "Activation":
        return config["activation"] == "relu"
    other = any(config.get(name) for name in ("max_value", "negative_slope", "threshold"))
    return kind == "ReLU" and not other


def _expected(
    graph: _Graph, strided_in_first: bool
) -> tuple[dict[str, tuple[int, list[int]]], str, int]:
    """What an encoder of ours with these blocks computes.

    Returns:
        taken: torchvision's module -> the value that it takes, and its strides.
        last: the module of the last normalization.
        added: the value of the last sum, which the last ReLU takes.
    """
    taken: dict[str, tuple[int, list[int]]] = {}

    def normalized(conv: str, norm: str, value: int, stride: int) -> int:
        taken[conv], taken[norm] = (value, [stride] * 2), (graph.number(conv), [1, 1])
        return graph.number(norm)

    has_pool = graph.config(graph.layers["conv1"]).get("kernel_size") == _LARGE
    stem = normalized("conv1", "bn1", graph.number("images"), 2 if has_pool else 1)
    value = graph.number("relu", stem)
    value = graph.number("pool", value) if has_pool else value
    strided = 1 if strided_in_first or "layer1.0.conv3" not in graph.layers else 2
    last, added = "bn1", stem
    for stage, block in _blocks(graph.layers):
        name = f"layer{stage}.{block}"
        stride = 2 if stage > 1 and block == 0 else 1
        shortcut = value
        if f"{name}.downsample.0" in graph.layers:
            shortcut = normalized(f"{name}.downsample.0", f"{name}.downsample.1", value, stride)
        for number in (1, 2, 3):
            if f"{name}.conv{number}" in graph.layers:
                last = f"{name}.bn{number}"
                normal = normalized(
                    f"{name}.conv{number}", last, value, stride if number == strided else 1
                )
                value = graph.number("relu", normal)
        added = graph.number("add", *sorted((normal, shortcut)))
        value = graph.number("relu", added)
    return taken, last, added


def _blocks(modules: Iterable[str]) -> list[tuple[int, int]]:
    """The stages and numbers of the blocks."""
    found = (re.fullmatch(r"layer(\d)\.(\d+)\.conv1", module) for module in modules)
    return sorted((int(match[1]), int(match[2])) for match in found if match)


def _check_images(graph: _Graph) -> None:
    """Refuses what changes the pixels in front of the first convolution."""
    first = graph.layers["conv1"]
    source, _ = graph.unpadded(first)
    if graph.kind(source) != "InputLayer":
        remedy = "save the model without it"
        if of_applications(graph.modules):
            remedy += ", and give --init_mean and --init_std unless it takes BGR of Caffe then"
        raise UserError(
            f"has {graph.kind(source)} {source} in front of the first convolution; {remedy}"
        )


def _check_end(graph: _Graph, last: str, added: int) -> None:
    """Refuses what stands between the last normalization and the last ReLU.

    A file may end before it.
    """
    end, places = graph.number("relu", added), [last]
    while places:
        for layer in graph.behind(places.pop()):
            value = graph.value(layer)
            if graph.kind(layer) == "Add" and value != added:
                raise graph.differs(layer, "with other inputs")
            if value != end:
                places.append(layer)
