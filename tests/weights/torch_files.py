"""Files as `torch.save` and Detectron2 write them, made without torch.

The pickles name torch's functions; modules of these names stand in for it while they are written.
"""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

STORAGES = {
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "int64": "LongStorage",
    "float64": "DoubleStorage",
    "bfloat16": "BFloat16Storage",
}
MAGIC = 0x1950A86A20F9469CFC6C


class Tensor:
    """What a pickle has in the place of a tensor: a view of an array's memory."""

    def __init__(self, array, offset=0, shape=None, strides=None):
        self.array, self.offset = array, offset
        self.shape = array.shape if shape is None else shape
        whole = tuple(stride // array.itemsize for stride in array.strides)
        self.strides = whole if strides is None else strides


def tensors(arrays):
    return OrderedDict((name, Tensor(array)) for name, array in arrays.items())


def _modules():
    """Modules whose members pickle by torch's names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2(*arguments):
        raise AssertionError

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in STORAGES.values():
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    return {"torch": torch, "torch._utils": utils}


class _Pickler(pickle.Pickler):
    def __init__(self, file, modules, legacy):
        super().__init__(file, protocol=2)
        self.modules, self.legacy, self.storages = modules, legacy, []

    def reducer_override(self, value):
        if not isinstance(value, Tensor):
            return NotImplemented
        arguments = (_Storage(value.array), value.offset, value.shape, value.strides, False,
                     OrderedDict())  # fmt: skip
        return self.modules["torch._utils"]._rebuild_tensor_v2, arguments

    def persistent_id(self, value):
        if not isinstance(value, _Storage):
            return None
        self.storages.append(value.array)
        kind = getattr(self.modules["torch"], STORAGES[value.array.dtype.name])
        place = ("storage", kind, str(len(self.storages) - 1), "cpu", value.array.size)
        return (*place, None) if self.legacy else place


class _Storage:
    def __init__(self, array):
        self.array = array


def _dump(content, legacy=False):
    before = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    modules = _modules()
    sys.modules.update(modules)
    try:
        file = io.BytesIO()
        pickler = _Pickler(file, modules, legacy)
        pickler.dump(content)
        return file.getvalue(), pickler.storages
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def save_zip(content, path, compression=zipfile.ZIP_STORED):
    """As torch since 1.6."""
    program, storages = _dump(content)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/version", "3\n")
        for number, array in enumerate(storages):
            archive.writestr(f"archive/data/{number}", array.tobytes())


def save_legacy(content, path):
    """As torch before 1.6: five pickles, then the storages."""
    program, storages = _dump(content, legacy=True)
    with open(path, "wb") as file:
        pickle.dump(MAGIC, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump({"little_endian": True}, file, protocol=2)
        file.write(program)
        pickle.dump([str(number) for number in range(len(storages))], file, protocol=2)
        for array in storages:
            file.write(struct.pack("<q", array.size) + array.tobytes())
