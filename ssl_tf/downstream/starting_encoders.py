"""The encoders from which a training on annotated images starts, by name."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from ssl_tf.errors import SettingsError, UserError
from ssl_tf.files import replacing
from ssl_tf.networks.encoder import build_encoder, is_same_network
from ssl_tf.settings import ModelSettings, StartSettings
from ssl_tf.training.encoders import load_encoder
from ssl_tf.weights.loading import load_init_encoder


@dataclasses.dataclass(frozen=True)
class StartingEncoder:
    """The weights of an encoder and its network.

    Attributes:
        name: of its row in the report: "trained", "supervised" or "random".
        model: depth, width and stem.
        weights: of `build_encoder`.
        origin: where they come from, in words.
        step: of the checkpoint; 0 where there is none.
        seed: of the run.
    """

    name: str
    model: ModelSettings
    weights: list[np.ndarray]
    origin: str
    step: int = 0
    seed: int = 0

    def build(self, synchronized: bool) -> tf.keras.Model:
        """A new encoder with these weights, normalized images to features.

        Args:
            synchronized: use the batch statistics of all replicas.
        """
        encoder = build_encoder(self.model, 0, synchronized)
        encoder.set_weights(self.weights)
        return encoder

    def write(self, path: Path) -> None:
        """Writes a NumPy file; it is complete or absent."""
        facts = {"method": self.model.method, **self.model.network_flags}
        facts = {"origin": self.origin, "step": self.step, "seed": self.seed, "model": facts}
        path.parent.mkdir(exist_ok=True)
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, *self.weights, facts=np.array(json.dumps(facts)))

    @classmethod
    def read(cls, path: Path, name: str) -> "StartingEncoder":
        """What `write` has written.

        Raises:
            UserError: the file is damaged.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                facts = json.loads(str(file["facts"]))
                weights = [file[f"arr_{n}"] for n in range(len(file.files) - 1)]
            model = ModelSettings(**facts.pop("model"))
            return cls(name, model, weights, **facts)
        except Exception as error:  # whatever a damaged archive makes NumPy and zipfile raise
            raise UserError(
                f"{path} is damaged ({error}); remove it to read the encoder of the run again"
            ) from None


def open_starting_encoders(
    settings: StartSettings, seed: int, kept: Path | None = None
) -> list[StartingEncoder]:
    """The encoders that the settings name: the pre-trained, the supervised, the random one.

    Args:
        settings: name them.
        seed: of a random encoder that belongs to no run.
        kept: folder of the encoders of runs with which this work began, as `keep` wrote them: a
            run goes on meanwhile, and forgets its checkpoints. None: it begins.

    Raises:
        SettingsError: the supervised encoder is not supervised, or of another network than the
            pre-trained one.
        UserError: a run, checkpoint or file does not exist, or is none.
    """
    if settings.is_random:
        return [_random(settings.network, seed)]
    found = []
    if settings.checkpoint:
        run = Path(settings.checkpoint)
        found.append(_of_run("trained", run, settings.step, kept))
        model, seed = found[0].model, found[0].seed
    else:
        encoder, model, _ = load_init_encoder(settings.init)
        origin = settings.init.init_encoder
        found.append(StartingEncoder("trained", model, encoder.get_weights(), origin))
    if settings.supervised:
        run = Path(settings.supervised)
        supervised = _of_run("supervised", run, 0, kept)
        method = supervised.model.method
        if method != "supervised":
            raise SettingsError(
                f"--supervised={run} is a run of --method={method}; give one of "
                "--method=supervised, or this one as --checkpoint of another --output"
            )
        if not is_same_network(model, supervised.model):
            raise SettingsError(
                f"--supervised={run} is a {supervised.model.network}, but the pre-trained encoder "
                f"a {model.network}: a table compares encoders of one network; give a run of it"
            )
        found.append(supervised)
    if settings.random_baseline:
        found.append(_random(model, seed))
    return found


def keep(starts: list[StartingEncoder], folder: Path) -> None:
    """Keeps the encoders of runs: that of a run that has gone on would not be found again."""
    for start in starts:
        if start.step and not _file(folder, start.name).exists():
            start.write(_file(folder, start.name))


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.npz"


def _of_run(name: str, run: Path, step: int, kept: Path | None) -> StartingEncoder:
    """The encoder of a run, or the one that is kept of it.

    Raises:
        UserError: the run has another encoder at the same step now, or none, and none is kept.
    """
    before = None
    if kept is not None and _file(kept, name).exists():
        before = StartingEncoder.read(_file(kept, name), name)
    try:
        encoder, trained, found = load_encoder(run, step)
    except UserError as error:
        if before is None:
            raise
        print(f"{error}; this goes on with {before.origin}, with which it began", file=sys.stderr)
        return before
    origin, weights = f"step {found} of {run}", encoder.get_weights()
    if before is None:
        return StartingEncoder(name, trained.model, weights, origin, found, trained.run.seed)
    if found != before.step:
        print(
            f"{run} has step {found} now; this goes on with {before.origin}, with which it began",
            file=sys.stderr,
        )
    elif not all(map(np.array_equal, weights, before.weights)):
        raise UserError(
            f"{origin} is another encoder than that with which this began ({kept}); put it back, "
            "or give a new --output"
        )
    return before


def _random(model: ModelSettings, seed: int) -> StartingEncoder:
    encoder = build_encoder(model, seed)
    return StartingEncoder("random", model, encoder.get_weights(), f"random, seed {seed}")
