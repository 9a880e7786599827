import numpy as np
import pytest
import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.exporters import tflite_files
from ssl_tf.exporters.exported import Exported
from ssl_tf.exporters.tflite_files import write_tflite_files
from ssl_tf.networks.normalization import normalize_images
from ssl_tf.settings import ExportSettings, FormatSettings, ModelSettings, flagfiles
from ssl_tf.views.evaluation_crop import evaluation_crop
from tests.data.opened import source_of
from tests.data.tiny_images import picture, png, write_folder
from tests.exporters.random_encoder import random_encoder

MODEL = ModelSettings(depth=18, width=0.25, stem="small")
TYPES = ("float32", "float16", "int8")


def drawn(source):
    """The numbers in the names of all images, in the order in which the export draws them."""
    records = source.stream(0, 0, source.size).as_numpy_iterator()
    return [int(record["id"].split(b"/")[-1].removesuffix(b".png")) for record in records]


def test_all_types_run_and_tell_what_they_cost(one_block_a_stage, tmp_path, capfd):
    folder = write_folder(tmp_path / "images", {f"{n}.png": png(n, 24, 30) for n in range(20)})
    source = source_of(image_folder=folder)
    settings = FormatSettings(format=("tflite",), tflite_types=TYPES, calibration_images=4)
    encoder = random_encoder(MODEL)
    written = write_tflite_files(Exported(encoder, MODEL, 16, settings, source), tmp_path)
    told = written.entries["tflite"]
    assert told["float32"]["largest_difference"] < 2e-6
    assert 1 - told["float16"]["smallest_cosine"] < 1e-4
    assert 0.97 < told["int8"]["smallest_cosine"] < told["int8"]["mean_cosine"] < 0.99999
    assert f"cosine of the features {told['int8']['mean_cosine']:.6f}" in written.report[2]
    sizes = [(tmp_path / told[kind]["file"]).stat().st_size for kind in TYPES]
    assert sizes[1] < 0.6 * sizes[0] and sizes[2] < 0.4 * sizes[0]
    # The figures are those of the images that follow the calibration.
    photographs = [picture(number, 24, 30) for number in drawn(source)[4:]]
    crops = tf.stack([evaluation_crop(tf.constant(photograph), 16) for photograph in photographs])
    images = normalize_images(crops)
    expected = encoder(images, training=False).numpy()
    for kind in TYPES:
        run = tf.lite.Interpreter(str(tmp_path / told[kind]["file"])).get_signature_runner()
        got = np.concatenate([run(images=image[np.newaxis])["features"] for image in images])
        lengths = np.linalg.norm(expected, axis=1) * np.linalg.norm(got, axis=1)
        cosines = (expected * got).sum(axis=1) / lengths
        assert told[kind]["smallest_cosine"] == pytest.approx(cosines.min(), abs=1e-5)
        assert told[kind]["mean_cosine"] == pytest.approx(cosines.mean(), abs=1e-5)
    assert "non-converted ops" not in capfd.readouterr().err


@pytest.mark.parametrize(
    "count, damaged, calibrated",
    [
        (2, [], 1), (9, [], 4), (20, [], 10), (40, [], 24), (99, [], 30),
        # Of images that cannot be read none counts: 10, 30 and all 46 of 50 that are needed.
        (20, range(10, 20), 5), (40, range(10), 15), (50, [0, 20, 48, 49], 30),
    ],
)  # fmt: skip
def test_int8_is_not_checked_on_what_it_is_calibrated_on(
    count, damaged, calibrated, one_block_a_stage, tmp_path, monkeypatch
):
    files = {f"{n:02}.png": png(n, 8, 8) for n in range(count)}
    files |= {f"{n:02}.png": b"damaged" for n in damaged}
    source = source_of(image_folder=write_folder(tmp_path / "images", files))
    readable = [n for n in drawn(source) if n not in damaged]
    settings = FormatSettings(format=("tflite",), tflite_types=("int8",), calibration_images=30)
    encoder, checked = random_encoder(MODEL), []

    def run(path, images):
        checked.extend(images)
        return np.concatenate([encoder(image, training=False) for image in images])

    monkeypatch.setattr(tflite_files, "convert", lambda *given: b"")
    monkeypatch.setattr(tflite_files, "run_tflite", run)
    written = write_tflite_files(Exported(encoder, MODEL, 8, settings, source), tmp_path)
    following = readable[calibrated : calibrated + 16]
    expected = normalize_images(np.stack([picture(n, 8, 8) for n in following]))
    np.testing.assert_allclose(np.concatenate(checked), expected, atol=1e-6)
    told = written.entries["tflite"]
    assert (told["int8"]["calibration_images"], told["checked_images"]) == (
        calibrated, len(following),
    )  # fmt: skip
    assert f"calibrated on {calibrated} images" in written.report[0]
    assert ("in the place of 30" in written.report[0]) is (calibrated < 30)


@pytest.mark.parametrize("count, told", [(0, "no image"), (1, "one image")])
def test_fewer_than_two_images_that_can_be_read_are_too_few_for_int8(
    count, told, one_block_a_stage, tmp_path
):
    files = {"0.png": png(0, 8, 8), "1.png": b"damaged", "2.png": b"damaged"}
    files = dict(list(files.items())[1 - count :])
    source = source_of(image_folder=write_folder(tmp_path / "images", files))
    settings = FormatSettings(format=("tflite",), tflite_types=("int8",))
    with pytest.raises(UserError, match=f"has {told} that can be read.*give more images"):
        write_tflite_files(Exported(random_encoder(MODEL), MODEL, 8, settings, source), tmp_path)


def test_a_file_that_computes_something_else_is_refused(one_block_a_stage, tmp_path, monkeypatch):
    encoder = random_encoder(MODEL)
    monkeypatch.setattr(tflite_files, "convert", lambda *given: b"")
    for kind, error in (("float32", 2e-5), ("float16", 0.5)):

        def run(path, images):
            features = np.concatenate([encoder(image, training=False) for image in images])
            return features + error * features.max() * (np.arange(features.shape[1]) % 2)

        monkeypatch.setattr(tflite_files, "run_tflite", run)
        settings = FormatSettings(format=("tflite",), tflite_types=(kind,))
        with pytest.raises(UserError, match=f"features of encoder_{kind}.tflite differ"):
            write_tflite_files(Exported(encoder, MODEL, 16, settings), tmp_path)


@pytest.mark.parametrize(
    "flags, told",
    [
        (["--format=tflite", "--tflite_types=int8"], "--tflite_types=int8: give images"),
        (["--format=tflite", "--image_folder=F"], "--image_folder=F: has no effect"),
        (["--format=tflite", "--calibration_images=9"], "--calibration_images=9: has no effect"),
        (["--format=tflite", "--tflite_types=float32,float32"], "give each value once"),
        (["--format=tflite", "--tflite_types="], "--tflite_types is empty; give one value or more"),
        (["--tflite_types=int8"], "--tflite_types=int8: has no effect"),
        (["--onnx_maps"], "--onnx_maps=true: has no effect"),
    ],
)
def test_flags_that_nothing_reads_are_refused(flags, told):
    with pytest.raises(SettingsError, match=told):
        flagfiles.parse(["--checkpoint=RUN", *flags], ExportSettings)


def test_int8_is_calibrated_on_all_classes_of_a_sorted_folder(tmp_path):
    files = {f"{'ab'[n >= 40]}/{n}.png": png(n, 8, 8) for n in range(60)}
    source = source_of(image_folder=write_folder(tmp_path / "images", files))
    settings = FormatSettings(format=("tflite",), tflite_types=("int8",), calibration_images=40)
    exported = Exported(None, MODEL, 8, settings, source)
    calibrating, checked = tflite_files._read_images(exported, 40)
    expected = normalize_images(np.stack([picture(n, 8, 8) for n in drawn(source)]))
    np.testing.assert_allclose(np.concatenate([*calibrating, *checked]), expected[:56], atol=1e-6)
    labels = [int(record["label"]) for record in source.stream(0, 0, 40).as_numpy_iterator()]
    assert 4 < sum(labels) < 24  # a third of the images are of b


def test_too_many_images_that_cannot_be_read_are_one_line(one_block_a_stage, tmp_path):
    files = {f"{n}.png": b"damaged" for n in range(12)}
    source = source_of(image_folder=write_folder(tmp_path / "images", files))
    settings = FormatSettings(format=("tflite",), tflite_types=("int8",))
    with pytest.raises(UserError, match="11 images cannot be decoded"):
        write_tflite_files(Exported(random_encoder(MODEL), MODEL, 8, settings, source), tmp_path)
