"""Layers of a Keras model as its config has them, and changes to them."""

import copy
import json


def config_layers(model):
    return json.loads(model.to_json())["config"]["layers"]


def changed(layers, name, kind=None, **config):
    """With another class or other arguments of a layer."""
    layers = copy.deepcopy(layers)
    [layer] = [layer for layer in layers if layer["config"]["name"] == name]
    layer["class_name"] = kind or layer["class_name"]
    layer["config"].update(config)
    return layers


def inserted(layers, behind, kind, **config):
    """With a layer `inserted` whose output is taken in the place of that of another."""
    layers = _renamed(layers, behind, "inserted")
    node = [[[behind, 0, 0, {}]]]
    made = {"class_name": kind, "config": {"name": "inserted", **config}, "inbound_nodes": node}
    return [*layers, made]


def removed(layers, name, source):
    """Without a layer; those behind it take the output of another."""
    kept = [layer for layer in layers if layer["config"]["name"] != name]
    return _renamed(kept, name, source)


def of_keras_3(layers):
    """The same layers as Keras 3 writes them."""
    return [{**layer, "inbound_nodes": _nodes_of_keras_3(layer)} for layer in layers]


def _nodes_of_keras_3(layer):
    tensors = [
        {"class_name": "__keras_tensor__", "config": {"keras_history": place[:3]}}
        for node in layer["inbound_nodes"]
        for place in node
    ]
    # A layer of several inputs has a list of them as its argument.
    arguments = [tensors] if len(tensors) > 1 else tensors
    return [{"args": arguments, "kwargs": {"mask": None}}] if tensors else []


def _renamed(layers, old, new):
    nodes = json.dumps([layer["inbound_nodes"] for layer in layers]).replace(f'"{old}"', f'"{new}"')
    return [
        {**layer, "inbound_nodes": inbound}
        for layer, inbound in zip(layers, json.loads(nodes), strict=True)
    ]
