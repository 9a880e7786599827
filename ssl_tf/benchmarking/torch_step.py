"""A plain BYOL step in PyTorch, run by the Python of an environment that has it.

`PYTHON torch_step.py NETWORK_JSON` says {} when it is ready. For each line of standard input, a
number of seconds, it trains for that long in each memory layout and prints a JSON object: layout ->
images a second. The same networks as ours, SGD with momentum, the target's average in one fused
call; views of noise stay on the device. It imports nothing of this package.
"""

import copy
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
BLOCKS |= {152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}
DTYPES = {"mixed_bfloat16": torch.bfloat16, "mixed_float16": torch.float16}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}


def convolution(inputs: int, outputs: int, side: int, stride: int = 1) -> nn.Sequential:
    convolved = nn.Conv2d(inputs, outputs, side, stride, side // 2, bias=False)
    return nn.Sequential(convolved, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    """A residual block, of two 3x3 convolutions or a bottleneck."""

    def __init__(self, inputs: int, width: int, stride: int, bottleneck: bool):
        super().__init__()
        outputs = 4 * width if bottleneck else width
        if bottleneck:
            parts = [
                convolution(inputs, width, 1), nn.ReLU(True), convolution(width, width, 3, stride),
                nn.ReLU(True), convolution(width, outputs, 1),
            ]  # fmt: skip
        else:
            parts = [
                convolution(inputs, width, 3, stride), nn.ReLU(True), convolution(width, width, 3)
            ]  # fmt: skip
        self.residual = nn.Sequential(*parts)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else convolution(inputs, outputs, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.residual(x) + self.shortcut(x), inplace=True)


def resnet(depth: int, widths: list[int], stem: str) -> tuple[nn.Sequential, int]:
    """The encoder and the length of its features."""
    channels = widths[0]
    if stem == "imagenet":
        layers = [convolution(3, channels, 7, 2), nn.ReLU(True), nn.MaxPool2d(3, 2, 1)]
    else:
        layers = [convolution(3, channels, 3), nn.ReLU(True)]
    inputs, bottleneck = channels, depth >= 50
    for stage, (outputs, blocks) in enumerate(zip(widths, BLOCKS[depth])):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            layers.append(Block(inputs, outputs, stride, bottleneck))
            inputs = 4 * outputs if bottleneck else outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), inputs


def head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(True),
        nn.Linear(hidden, outputs, bias=False),
    )


class Trainer:
    """BYOL of two views in one memory layout."""

    def __init__(self, network: dict, layout: torch.memory_format):
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        encoder, features = resnet(network["depth"], network["widths"], network["stem"])
        projector = head(features, network["hidden"], network["projection"])
        self.online = nn.Sequential(encoder, projector)
        self.online.to(self.device, memory_format=layout)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.predictor = head(network["projection"], network["hidden"], network["projection"])
        self.predictor.to(self.device)
        learned = [*self.online.parameters(), *self.predictor.parameters()]
        self.optimizer = torch.optim.SGD(learned, 0.01, 0.9, weight_decay=1e-6, foreach=True)
        self.dtype = DTYPES.get(network["precision"])
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=self.dtype is torch.float16 and self.device.type == "cuda"
        )
        side = network["side"]
        self.batch = network["batch"]
        views = torch.randn(2, self.batch, 3, side, side, device=self.device)
        self.views = [view.contiguous(memory_format=layout) for view in views]

    def step(self) -> None:
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            predicted = [self.predictor(self.online(view)) for view in self.views]
            with torch.no_grad():
                targets = [self.target(view) for view in self.views]
            loss = sum(
                2 - 2 * functional.cosine_similarity(p, z).mean()
                for p, z in zip(predicted, reversed(targets))
            )
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.target.parameters()), list(self.online.parameters()), 0.01
            )
        loss.item()  # waits for the device, as ours does to write its logs

    def burst(self, seconds: float) -> float:
        """Images a second over at least so many seconds and one step."""
        images, began = 0, time.perf_counter()
        while not images or time.perf_counter() - began < seconds:
            self.step()
            images += self.batch
        return images / (time.perf_counter() - began)


def main() -> None:
    network = json.loads(sys.argv[1])
    # As TensorFlow rounds products of float32 where the card can, unless told not to.
    torch.backends.cuda.matmul.allow_tf32 = network["tf32"]
    torch.backends.cudnn.allow_tf32 = network["tf32"]
    torch.backends.cudnn.benchmark = True
    trainers = {name: Trainer(network, layout) for name, layout in LAYOUTS.items()}
    for trainer in trainers.values():
        for _ in range(3):
            trainer.step()
    print("{}", flush=True)
    for line in sys.stdin:
        rates = {name: trainer.burst(float(line)) for name, trainer in trainers.items()}
        print(json.dumps(rates), flush=True)


if __name__ == "__main__":
    main()
