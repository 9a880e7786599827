import dataclasses

import numpy as np
import pytest

from ssl_tf.downstream import starting_encoders
from ssl_tf.downstream.starting_encoders import open_starting_encoders
from ssl_tf.errors import SettingsError, UserError
from ssl_tf.networks.encoder import build_encoder, is_same_network
from ssl_tf.settings import ModelSettings, PretrainSettings, StartSettings, flagfiles

SMALL = ("--depth=18", "--width=0.0625", "--stem=small")


@pytest.fixture
def runs(monkeypatch):
    """Runs of three names, one of another depth."""

    def load(directory, step=0):
        depth = 34 if str(directory) == "deeper" else 18
        flags = ["--dataset=scenes", *SMALL[1:], f"--depth={depth}", "--seed=3"]
        if str(directory) in ("labels", "deeper"):
            flags += ["--method=supervised", "--recipe=moco", "--view_strategies=plain"]
        settings = flagfiles.parse(flags, PretrainSettings)
        encoder = build_encoder(settings.model, {"run": 1, "labels": 2}.get(str(directory), 0))
        return encoder, settings, step or 70

    monkeypatch.setattr(starting_encoders, "load_encoder", load)


def opened(*flags):
    return open_starting_encoders(flagfiles.parse(flags, StartSettings), 5)


def same(ours, theirs):
    return all((a == b).all() for a, b in zip(ours, theirs, strict=True))


def test_rows_of_a_table_have_their_own_weights_and_one_network(runs):
    found = opened("--checkpoint=run", "--supervised=labels", "--random_baseline")
    assert [start.name for start in found] == ["trained", "supervised", "random"]
    assert [start.step for start in found] == [70, 70, 0]
    for start, seed in zip(found, (1, 2, 3)):  # the random one is that from which the run started
        assert same(start.weights, build_encoder(start.model, seed).get_weights())
        assert same(start.build(False).get_weights(), start.weights)
        assert same(start.build(True).get_weights(), start.weights)


def test_an_encoder_of_another_network_is_refused_in_one_line(runs):
    with pytest.raises(SettingsError, match="deeper is a ResNet-34 x0.0625, small stem, but the"):
        opened("--checkpoint=run", "--supervised=deeper")


def test_widths_of_equal_channels_are_one_network():
    """A file tells the channels alone, from which 0.359375 is read for 0.36."""
    small = ModelSettings(depth=18, width=0.36)
    assert is_same_network(small, dataclasses.replace(small, width=0.359375))
    assert not is_same_network(small, dataclasses.replace(small, width=0.37))
    assert not is_same_network(small, dataclasses.replace(small, stem="small"))


def test_a_run_without_labels_is_not_called_supervised(runs):
    with pytest.raises(SettingsError, match="--supervised=other is a run of --method=ma_ssrl; giv"):
        opened("--checkpoint=run", "--supervised=other")


def test_a_work_goes_on_with_the_encoders_with_which_it_began(runs, tmp_path, monkeypatch, capsys):
    flags = "--checkpoint=run", "--supervised=labels", "--random_baseline"
    starting_encoders.keep(opened(*flags), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["supervised.npz", "trained.npz"]

    def of_now(step, first):
        def load(directory, wanted=0):
            encoder, settings, _ = kept_load(directory, wanted)
            return build_encoder(settings.model, first), settings, wanted or step

        return load

    kept_load = starting_encoders.load_encoder

    def again():
        settings = flagfiles.parse(flags, StartSettings)
        return open_starting_encoders(settings, 5, tmp_path)

    before = again()
    assert capsys.readouterr().err == ""
    assert [(s.name, s.step, s.origin) for s in before[:2]] == [
        ("trained", 70, "step 70 of run"), ("supervised", 70, "step 70 of labels"),
    ]  # fmt: skip

    def gone(directory, wanted=0):
        raise UserError(f"{directory} has no checkpoint")

    for load, told in (
        (of_now(80, 9), "run has step 80 now; this goes on with step 70 of run, with which it"),
        (gone, "run has no checkpoint; this goes on with step 70 of run, with which it began"),
    ):
        monkeypatch.setattr(starting_encoders, "load_encoder", load)
        assert all(same(ours.weights, b.weights) for ours, b in zip(again(), before, strict=True))
        assert told in capsys.readouterr().err
    monkeypatch.setattr(starting_encoders, "load_encoder", of_now(70, 9))
    with pytest.raises(UserError, match="step 70 of run is another encoder than that with which"):
        again()
    (tmp_path / "trained.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="trained.npz is damaged .*; remove it to read the encoder"):
        again()


def test_without_an_encoder_the_random_one_is_trained(runs):
    (start,) = opened(*SMALL)
    assert start.name == "random" and start.origin == "random, seed 5"
    assert same(start.weights, build_encoder(start.model, 5).get_weights())
    assert np.isfinite(start.weights[0]).all()


@pytest.mark.parametrize(
    "flags, told",
    [
        (("--checkpoint=run", "--depth=18"), "has its own network"),
        (("--random_baseline",), "the random encoder is the only one"),
        (("--supervised=labels",), "the random encoder is the only one"),
        (("--checkpoint=run", "--init_encoder=x"), "give one of them, or none"),
        (("--depth=19",), "--depth=19"),
    ],
)
def test_flags_that_cannot_work(flags, told):
    with pytest.raises(SettingsError, match=told):
        flagfiles.parse(flags, StartSettings)
