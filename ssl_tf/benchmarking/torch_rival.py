"""PyTorch's step beside ours: its process, which works only while it is asked to."""

import json
import subprocess
import sys
from pathlib import Path

from ssl_tf.errors import UserError
from ssl_tf.networks.resnet import scaled_widths
from ssl_tf.settings import PretrainSettings
from ssl_tf.settings.methods import ProjectorFlags

_SCRIPT = Path(__file__).with_name("torch_step.py")


class TorchRival:
    """A process of another Python with a BYOL step of the same networks, in two layouts."""

    def __init__(self, pretrain: PretrainSettings, python: str, *, tf32: bool):
        """Starts it and waits for its first steps.

        Args:
            pretrain: of BYOL with two views.
            python: where PyTorch is installed; empty: this one.
            tf32: whether products of float32 may be rounded to it.

        Raises:
            UserError: PyTorch does not start there.
        """
        model, heads = pretrain.model, pretrain.model.flags[ProjectorFlags]
        network = {
            "depth": model.depth,
            "widths": scaled_widths(model.width),
            "stem": model.stem,
            "hidden": heads.projector_hidden,
            "projection": heads.projection,
            "side": pretrain.views.image_size,
            "batch": pretrain.optimization.batch_size,
            "precision": pretrain.run.precision,
            "tf32": tf32,
        }
        python = python or sys.executable
        try:
            self._process = subprocess.Popen(
                [python, str(_SCRIPT), json.dumps(network)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        except OSError as error:
            raise UserError(f"--torch_python={python}: {error.strerror}") from None
        self._answer()

    def burst(self, seconds: float) -> dict[str, float]:
        """Layout -> images a second over at least so many seconds."""
        print(seconds, file=self._process.stdin, flush=True)
        return self._answer()

    def end(self) -> None:
        self._process.communicate()

    def _answer(self) -> dict[str, float]:
        line = self._process.stdout.readline()
        if not line:
            last = self._process.communicate()[1].strip().splitlines()[-1:] or ["no word"]
            raise UserError(
                f"--against=torch: PyTorch's step fails ({last[0]}); see --torch_python"
            )
        return json.loads(line)
