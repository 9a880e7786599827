"""Finds the encoder among the tensors of a file, whatever its framework calls them."""

import dataclasses
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np

from ssl_tf.errors import UserError
from ssl_tf.networks.normalization import MEAN, STD
from ssl_tf.weights.architecture import COUNTER, Architecture, all_names, recognize
from ssl_tf.weights.conventions import (
    Tensors,
    from_caffe_pixels,
    with_our_epsilon,
    with_our_pixels,
    without_bias,
)
from ssl_tf.weights.keras_names import keras_modules, of_applications
from ssl_tf.weights.torch_names import KINDS, detectron2_name, to_torch, torch_name

# The module that is the encoder -> whose files have it. DenseCL is of OpenSelfSup, which calls it
# backbone, as others do, and the first of encoder_q in the file of a training.
_FAMILIES = {
    "": "torchvision or timm",
    "encoder_q": "MoCo",
    "encoder_q.0": "DenseCL",
    "backbone": "OpenSelfSup, solo-learn or others",
    "_feature_blocks": "VISSL",
    "trunk._feature_blocks": "VISSL",
}
# Modules around a whole model, and entries of checkpoints that hold one.
_WRAPPER = re.compile(
    r"(?:state_dict|model_state_dict|model_state|model|module|classy_state_dict|base_model)\.?"
)
# Moving averages of the encoder, which are kept beside it.
_AVERAGES = {"encoder_k", "teacher", "momentum_encoder", "target_network", "target_encoder"}
# The first tensor of an encoder, in names of torchvision and of Detectron2.
_FIRST = re.compile(r"((?:[^.]+\.)*?)(stem\.)?conv1\.weight")
_BLOCK = re.compile(r"(?:layer|res)\d\.")
_LISTED = 5
# RGB means of keras.applications's `caffe` mode, and the epsilon of its normalizations.
_KERAS_MEAN, _KERAS_EPSILON = (123.68 / 255, 116.779 / 255, 103.939 / 255), 1.001e-5


@dataclasses.dataclass(frozen=True)
class Weights:
    """The tensors of an encoder.

    Attributes:
        tensors: float32, by torchvision's names and in its layout, for our normalized images.
        architecture: of the encoder.
        stride_in_1x1: whether its bottlenecks have their stride in the first 1x1 convolution.
        origin: whose names the file has.
        left_out: module -> number of its tensors, those that are no part of the encoder.
        pixels: how the images were normalized, in words; empty: as the file itself tells.
    """

    tensors: Tensors
    architecture: Architecture
    stride_in_1x1: bool
    origin: str
    left_out: dict[str, int]
    pixels: str = ""


@dataclasses.dataclass(frozen=True)
class Pixels:
    """How images of RGB in 0 to 1 were normalized.

    Attributes:
        mean: what was subtracted.
        std: what was divided by, then.
    """

    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def __str__(self) -> str:
        told = (", ".join(f"{x:g}" for x in values) for values in (self.mean, self.std))
        return f"RGB of 0 to 1 less {next(told)} over {next(told)}"


def from_torch_file(
    tensors: Tensors,
    convention: str,
    own_stride: bool | None = None,
    pixels: Pixels | None = None,
) -> Weights:
    """The encoder in a file with names of torch.

    Args:
        tensors: all of the file.
        convention: torchvision or caffe; empty: that of the names, which Detectron2's do not tell.
        own_stride: `stride_in_1x1` of an encoder that `ssl_tf.export` wrote, whose pixels are ours;
            None: somebody else did.
        pixels: of the file; None: those of the convention.

    Raises:
        UserError: there is no encoder, there are several, or it is none of ours; as the end of a
            sentence.
    """
    module, is_detectron2 = _find(tensors)
    _check_convention(convention, own_stride)
    _check_dilation(module, tensors)
    if pixels and (convention == "caffe" or own_stride is not None):
        raise UserError(
            "has pixels of its own convention; leave --init_mean and --init_std out, or move away "
            "the config.json beside it, which tells others"
        )
    if is_detectron2 and not convention and own_stride is None:
        raise UserError(
            "has Detectron2's names, which do not tell its pixels; give --init_convention=caffe "
            "for FORMAT BGR and STRIDE_IN_1X1 True (its defaults), --init_convention=torchvision "
            "for FORMAT RGB, PIXEL_STD of ImageNet and STRIDE_IN_1X1 False"
        )
    renamed = {detectron2_name(name): name for name in all_names()} if is_detectron2 else {}
    located = {
        renamed.get(name.removeprefix(module), name.removeprefix(module)): name
        for name in tensors
        if name.startswith(module)
    }
    found = recognize({name: tensors[place].shape for name, place in located.items()})
    _check_dtypes({located[name]: tensors[located[name]] for name in found.shapes()})
    kept = {name: tensors[located[name]].astype(np.float32) for name in found.shapes()}
    told = "" if own_stride is not None else str(pixels or Pixels())
    if convention == "caffe":
        kept, told = from_caffe_pixels(kept), "BGR of Caffe"
    elif pixels:
        kept = with_our_pixels(kept, pixels.mean, pixels.std)
    origin = "Detectron2" if is_detectron2 else _origin(module, located)
    left_out = tensors.keys() - {located[name] for name in kept}
    strided = convention == "caffe" if own_stride is None else own_stride
    return _weights(kept, found, strided, origin, left_out, told)


def _weights(
    tensors: Tensors,
    found: Architecture,
    stride_in_1x1: bool,
    origin: str,
    left_out: Iterable[str],
    pixels: str = "",
) -> Weights:
    """The weights of an encoder, whose first convolutions are 1x1 only where it has bottlenecks."""
    strided = stride_in_1x1 and found.has_bottlenecks
    return Weights(tensors, found, strided, origin, _grouped(left_out), pixels)


def _check_convention(convention: str, own_stride: bool | None) -> None:
    if convention and own_stride is not None:
        raise UserError("was written by ssl_tf.export and tells its convention; leave the flag out")


def _check_dilation(module: str, tensors: Tensors) -> None:
    """Refuses the backbones of segmentation, torchvision's and mmsegmentation's.

    Their last two stages are dilated in the place of strides, which no tensor tells; mmsegmentation
    does so with most heads.

    Raises:
        UserError: it is one.
    """
    heads = [f"{head}.0.weight" for head in ("classifier", "aux_classifier")]
    of_maps = any(getattr(tensors.get(name), "ndim", 0) == 4 for name in heads)
    of_torchvision = of_maps or "classifier.0.convs.0.0.weight" in tensors
    of_mm = any(name.startswith("decode_head.") for name in tensors)
    if module == "backbone." and (of_torchvision or of_mm):
        raise UserError(
            f"is of {'torchvision' if of_torchvision else 'mmsegmentation'}'s segmentation, whose "
            "backbone is dilated where ours strides; give a plain ResNet"
        )


def _check_dtypes(tensors: Tensors) -> None:
    """Refuses quantized weights, whose scales are elsewhere.

    Raises:
        UserError: one of these tensors of an encoder holds no floats.
    """
    for name, value in tensors.items():
        # bfloat16 is not among NumPy's own floats.
        if value.dtype.kind in "biuc":
            raise UserError(
                f"holds {name} as {value.dtype}, whose scale is not known; save the weights as "
                "floats"
            )


def _find(tensors: Tensors) -> tuple[str, bool]:
    """The prefix of the encoder's names, and whether they are Detectron2's."""
    found = [
        (match[1], bool(match[2]))
        for name, value in tensors.items()
        if (match := _FIRST.fullmatch(name)) and value.ndim == 4 and not _BLOCK.search(name)
    ]
    # An average is left out beside the encoder that it averages.
    kept = [place for place in found if not _AVERAGES & {*place[0].split(".")}] or found
    if not kept:
        modules = [*_grouped(tensors)]
        more = f" and {len(modules) - _LISTED} more" if len(modules) > _LISTED else ""
        raise UserError(
            "has no conv1.weight and no stem.conv1.weight, so no ResNet; it has "
            f"{', '.join(modules[:_LISTED])}{more}"
        )
    first, *others = (_below(module, tensors) for module, _ in kept)
    # Checkpoints of OpenSelfSup name one module twice. Encoders may share a stem that was frozen.
    if not all(_are_one(first, other) for other in others):
        modules = ", ".join(module.rstrip(".") or "the file itself" for module, _ in kept)
        raise UserError(f"has several encoders ({modules}); save the one you mean alone")
    return kept[0]


def _below(module: str, tensors: Tensors) -> Tensors:
    """The tensors of a module, by their names in it."""
    return {n.removeprefix(module): x for n, x in tensors.items() if n.startswith(module)}


def _are_one(first: Tensors, other: Tensors) -> bool:
    """Whether two modules have tensors of one name, and these are equal."""
    shared = first.keys() & other.keys()
    return bool(shared) and all(np.array_equal(first[name], other[name]) for name in shared)


def _origin(module: str, names: Iterable[str]) -> str:
    bare = module
    while wrapper := _WRAPPER.match(bare):
        bare = bare[wrapper.end() :]
    if not bare and any(name.startswith("prototypes.") for name in names):
        return "SwAV"
    bare = bare.rstrip(".")
    return _FAMILIES.get(bare, f"torchvision, in {bare}")


def _grouped(names: Iterable[str]) -> dict[str, int]:
    """Names by the module that they belong to, counted; counters of normalizations left out."""
    modules = (n.rpartition(".")[0] or n for n in sorted(names) if not n.endswith(COUNTER))
    return dict(Counter(".".join(module.split(".")[:3]) for module in modules))


def from_keras_file(
    variables: Tensors,
    convention: str,
    own_stride: bool | None = None,
    pixels: Pixels | None = None,
) -> Weights:
    """The encoder in a file of Keras: one of ours, or a ResNet of keras.applications.

    Args:
        variables: LAYER/KIND -> variable, all of the file.
        convention: torchvision or caffe; empty: that of the names.
        own_stride: of one of ours, where its first strided convolution is; None: the file does not
            tell, or is of keras.applications.
        pixels: of a ResNet of keras.applications; None: BGR of Caffe.

    Raises:
        UserError: it is neither, or of another convention, or nothing tells where its bottlenecks
            have their stride, or one of ours is given pixels; as the end of a sentence.
    """
    layers = keras_modules({name.rpartition("/")[0] for name in variables})
    theirs = of_applications(layers)
    _check_convention(convention, own_stride)
    own = "caffe" if theirs else "torchvision"
    if convention not in ("", own):
        other = ", and give --init_mean and --init_std for other pixels" if theirs else ""
        raise UserError(f"has the convention of {own}; leave --init_convention out{other}")
    tensors, left_out = {}, []
    for name, value in variables.items():
        layer, _, kind = name.rpartition("/")
        if layer not in layers or kind not in (*KINDS, "bias"):
            left_out.append(name.replace("/", "."))
        elif kind == "bias":
            tensors[f"{layers[layer]}.bias"] = value.astype(np.float32)
        else:
            tensors[torch_name(layers[layer], kind)] = to_torch(value.astype(np.float32))
    if "conv1.weight" not in tensors:
        raise UserError(
            "holds no encoder of ours and no ResNet50, ResNet101 or ResNet152 of "
            "keras.applications (the V2 ones are other networks); of a model that has one among "
            "its layers, save that layer"
        )
    if pixels and not theirs:
        raise UserError("tells its pixels; leave --init_mean and --init_std out")
    if pixels and convention:
        raise UserError(f"has pixels of its own by --init_convention={convention}; leave it out")
    if theirs:
        norms = {module: _norm(module) for module in layers.values() if _norm(module) != module}
        tensors = without_bias(tensors, norms)
    found = recognize({name: value.shape for name, value in tensors.items()})
    told = ""
    if theirs:
        tensors, told = with_our_epsilon(tensors, _KERAS_EPSILON), str(pixels or "BGR of Caffe")
        if pixels:
            tensors = with_our_pixels(tensors, pixels.mean, pixels.std)
        else:
            tensors = from_caffe_pixels(tensors, _KERAS_MEAN)
    origin = "keras.applications" if theirs else "ssl_tf"
    kept = {name: tensors[name] for name in found.shapes()}
    if found.has_bottlenecks and not (theirs or convention) and own_stride is None:
        raise UserError(
            "holds weights alone, which do not tell where the bottlenecks have their stride; give "
            "--init_convention=torchvision for the 3x3 convolution, or save the whole model as a "
            ".keras file (of --stride_in_1x1 there is no other way)"
        )
    return _weights(kept, found, theirs or bool(own_stride), origin, left_out, told)


def _norm(conv: str) -> str:
    """The normalization behind a convolution, by torchvision's names; of another module, itself."""
    return re.sub(r"conv(\d)$", r"bn\1", re.sub(r"downsample\.0$", "downsample.1", conv))
