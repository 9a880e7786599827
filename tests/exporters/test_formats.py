import json

import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.exporters import formats
from ssl_tf.exporters.exported import Exported, Written
from ssl_tf.exporters.formats import FORMATS, Format, export_encoder
from ssl_tf.locks import exclusive
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.networks.normalization import MEAN, STD
from ssl_tf.settings import FORMATS as NAMES
from ssl_tf.settings import ExportSettings, FormatSettings, ModelSettings, flagfiles

MODEL = ModelSettings(depth=18, width=0.0625, stem="small")


@pytest.fixture(scope="module")
def encoder():
    return build_encoder(MODEL, 0)


def writer(name):
    """A format of one file with its name in it."""

    def write(exported, directory):
        # What a GPU rounds would differ from what the CPU gives.
        assert not tf.config.experimental.tensor_float_32_execution_enabled()
        (directory / f"{name}.txt").write_text(name)
        return Written({name: exported.model.depth}, (f"{name} is written",))

    return write


def test_the_flag_has_the_names_of_the_table():
    assert NAMES == tuple(FORMATS)


def test_all_formats_lie_in_one_directory(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "FORMATS", {name: Format(writer(name)) for name in "ab"})
    exported = Exported(encoder, MODEL, 224, FormatSettings(format=("a", "b")))
    assert export_encoder(exported, tmp_path / "new" / "out", {"step": 7}) == {
        "a": ("a is written",),
        "b": ("b is written",),
    }
    files = {path.name for path in (tmp_path / "new" / "out").iterdir()}
    assert files == {"a.txt", "b.txt", "export.json"}
    facts = json.loads((tmp_path / "new" / "out" / "export.json").read_text())
    assert (facts["step"], facts["a"], facts["formats"]) == (7, 18, ["a", "b"])
    assert (facts["mean"], facts["std"], facts["feature_dim"]) == ([*MEAN], [*STD], 32)
    assert "short side to 256 pixels, bicubic" in facts["preprocessing"]
    assert tf.config.experimental.tensor_float_32_execution_enabled()


def test_a_format_that_cannot_express_the_encoder_leaves_nothing(encoder, tmp_path, monkeypatch):
    refused = Format(writer("b"), lambda model: f"has no stem {model.stem}")
    monkeypatch.setattr(formats, "FORMATS", {"a": Format(writer("a")), "b": refused})
    exported = Exported(encoder, MODEL, 16, FormatSettings(format=("a", "b")))
    with pytest.raises(SettingsError, match="--format=b: has no stem small"):
        export_encoder(exported, tmp_path / "out", {})
    assert [*tmp_path.iterdir()] == []


def test_two_exports_to_one_place_do_not_mix(encoder, tmp_path):
    exported = Exported(encoder, MODEL, 16)
    with exclusive(tmp_path, "out.lock"):
        with pytest.raises(UserError, match=f"{tmp_path}/out is in use by process"):
            export_encoder(exported, tmp_path / "out", {})
    assert [*tmp_path.iterdir()] == []


def test_an_existing_directory_is_not_overwritten(encoder, tmp_path):
    (tmp_path / "export").mkdir()
    with pytest.raises(SettingsError, match="--output"):
        export_encoder(Exported(encoder, MODEL, 16), tmp_path / "export", {})


@pytest.mark.parametrize("value", ["", "saved_model,saved_model", "pickle"])
def test_formats_are_named_once_and_exist(value):
    with pytest.raises(SettingsError, match="--format"):
        flagfiles.parse(["--checkpoint=RUN", f"--format={value}"], ExportSettings)
