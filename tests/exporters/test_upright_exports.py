"""An export keeps what its images were, whoever opens it and in whichever format it is."""

import json

import pytest

from ssl_tf import command, export
from ssl_tf.discovery import run as discovery
from ssl_tf.embedding import stages as embedding
from ssl_tf.errors import UserError
from ssl_tf.evaluation.context import open_context
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.formats import export_encoder
from ssl_tf.networks.encoder import build_encoder
from ssl_tf.settings import (
    DiscoverSettings,
    EmbedSettings,
    ExportSettings,
    FormatSettings,
    KnnSettings,
    ModelSettings,
    flagfiles,
)
from tests.data.tiny_images import png, write_folder

MODEL = ModelSettings(depth=18, width=0.0625, stem="small")
WARNING = "are taken as they are stored; give --orient"


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    directory = tmp_path_factory.mktemp("exports") / "upright"
    formats = FormatSettings(format=("torchvision",))
    exported = Exported(build_encoder(MODEL, 0), MODEL, 24, formats, orient=True)
    export_encoder(exported, directory, {})
    return f"--init_encoder={directory / 'torchvision.safetensors'}"


@pytest.fixture
def images(tmp_path):
    """Flags of a train and a test folder of two classes."""
    for number, part in enumerate(("train", "test")):
        files = {f"{name}/{n}.png": png(9 * number + n) for name in "ab" for n in range(2)}
        write_folder(tmp_path / part, files)
    return [f"--image_folder={tmp_path}/train", f"--test_image_folder={tmp_path}/test"]


def test_what_is_exported_again_is_the_same(given, images, tmp_path, capsys):
    flags = [given, "--format=torchvision,tflite", "--tflite_types=int8", images[0]]
    command.run(export.main, ExportSettings, [*flags, f"--output={tmp_path / 'again'}"])
    facts = json.loads((tmp_path / "again" / "export.json").read_text())
    assert (facts["orient"], facts["image_size"]) == (True, 24)
    assert capsys.readouterr().err.count(WARNING) == 1


def test_an_evaluation_tells_that_images_are_not_turned(given, images, tmp_path, capsys):
    for flags, count in ((images, 2), ([*images, "--orient"], 0)):
        flags = [given, *flags, f"--output={tmp_path / 'knn.json'}", "--norandom_baseline"]
        context = open_context(flagfiles.parse(flags, KnnSettings).evaluation, "knn")
        assert context.image_size == 24
        assert capsys.readouterr().err.count(WARNING) == count


@pytest.mark.parametrize(
    "module, start, settings_class",
    [
        (embedding, embedding.embed, EmbedSettings),
        (discovery, discovery.discover, DiscoverSettings),
    ],
)
def test_other_stages_tell_it_too(
    module, start, settings_class, given, images, tmp_path, capsys, monkeypatch
):
    def stop(settings):
        raise UserError("opened")

    monkeypatch.setattr(module, "open_encoder", stop)
    settings = flagfiles.parse([given, images[0], f"--output={tmp_path / 'out'}"], settings_class)
    with pytest.raises(UserError, match="opened"):
        start(settings)
    assert capsys.readouterr().err.count(WARNING) == 1
