"""Filter patterns against other libraries, in one run: per step, and until as much is reached.

pip install --no-deps -r benchmarks/requirements-peers.txt
python benchmarks/pattern_peers.py           # all
python benchmarks/pattern_peers.py steps     # the same number of steps; VGG16's shapes
python benchmarks/pattern_peers.py reach     # the same objective; VGG16's own weights
"""

import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).parent.parent))

import vizlib
from benchmarks import book
from benchmarks.run import clock, report
from vizlib import ConvNet

SIDE = 128
#: How many channels are made together; fewer where all steps are taken.
TOGETHER, REACHING = 8, 4
LAYERS = {"block3_conv3": 1.2, "block5_conv3": 1.2, "block1_conv2": 5.0}
FEW, MORE, PAIRS = 2, 8, 3
#: How many steps each takes unless told otherwise.
OWN_STEPS = {"book": 30, "tf-keras-vis": 200, "xplique": 256}
TRIED = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768)
OURS = ("fourier", "classic")

Make = Callable[[int], np.ndarray]  # pictures 0..255 of the first channels, after that many steps


def network(*, trained: bool) -> ConvNet:
    """VGG16's base behind its preprocessing, so that everybody shows it pixels 0..255."""
    if trained:
        base = vizlib.load_convnet("vgg16-base", input_size=(SIDE, SIDE)).model
    else:
        base = keras.applications.VGG16(weights=None, include_top=False)
    image = keras.Input((SIDE, SIDE, 3))
    mean = np.array([103.939, 116.779, 123.68], "float32")
    maps = keras.ops.flip(image, axis=-1) - mean
    for layer in base.layers[1:]:
        # Copies, since peers find the maps of a layer that has been called once only.
        own = type(layer).from_config(layer.get_config())
        maps = own(maps)
        own.set_weights(layer.get_weights())
    return ConvNet(keras.Model(image, maps), preprocess="raw")


def makers(convnet: ConvNet, layer: str, count: int) -> dict[str, Make]:
    """Everybody's way to make the pictures, by name; ours are the recipes."""
    extractor = keras.Model(convnet.model.input, convnet.model.get_layer(layer).output)
    return {
        "fourier": _ours(convnet, layer, "fourier", count),
        "classic": _ours(convnet, layer, "classic", count),
        "book": lambda steps: np.stack(
            book.filter_patterns(extractor, range(count), side=SIDE, steps=steps)
        ),
        "tf-keras-vis": _tf_keras_vis(extractor, count),
        "xplique": _xplique(convnet.model, layer, count),
    }


def _ours(convnet: ConvNet, layer: str, recipe: str, count: int) -> Make:
    def make(steps: int) -> np.ndarray:
        return vizlib.filter_patterns(
            convnet, layer, range(count), recipe=recipe, size=SIDE, steps=steps
        ).images

    return make


def _tf_keras_vis(extractor: keras.Model, count: int) -> Make:
    from tf_keras_vis.activation_maximization import ActivationMaximization
    from tf_keras_vis.utils.scores import CategoricalScore

    maximise = ActivationMaximization(extractor, clone=False)
    seeds = np.random.default_rng(0).uniform(0, 255, (count, SIDE, SIDE, 3))
    score = CategoricalScore(list(range(count)))
    return lambda steps: np.asarray(maximise(score, seed_input=seeds, steps=steps))


def _xplique(model: keras.Model, layer: str, count: int) -> Make:
    from xplique.features_visualizations import Objective, optimize

    objective = Objective.channel(model, layer, list(range(count)))

    def make(steps: int) -> np.ndarray:
        images, _ = optimize(
            objective, nb_steps=steps, custom_shape=(SIDE, SIDE), values_range=(0, 255)
        )
        return np.asarray(images[-1])

    return make


def _lucent(layer: str) -> float:
    """Seconds of one step in PyTorch, in a process of its own."""
    numbers = map(str, (TOGETHER, SIDE, FEW, MORE))
    command = [sys.executable, str(Path(__file__).with_name("lucent.py")), layer, *numbers]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def steps() -> None:
    """What one more step takes, start and compilation left out."""
    convnet = network(trained=False)
    print(f"\nOne step of {TOGETHER} channels, {SIDE} px")
    for layer, target in LAYERS.items():
        everybody = makers(convnet, layer, TOGETHER)
        for make in everybody.values():
            make(2)
        rounds = [
            {name: _of_one_step(make) for name, make in everybody.items()} | _in_pytorch(layer)
            for _ in range(PAIRS)
        ]
        for recipe in OURS:
            for peer in sorted(rounds[0].keys() - set(OURS)):
                times = statistics.median(of[peer] / of[recipe] for of in rounds)
                seconds = [statistics.median(of[who] for of in rounds) for who in (peer, recipe)]
                detail = f"{recipe}: {peer} {seconds[0]:.3f} s, ours {seconds[1]:.3f} s"
                report(layer, detail, times, 1.0 if peer == "PyTorch" else target)


def _in_pytorch(layer: str) -> dict[str, float]:
    return {"PyTorch": _lucent(layer)} if importlib.util.find_spec("torch") else {}


def _of_one_step(make: Make) -> float:
    few, more = clock(lambda: make(FEW)), clock(lambda: make(MORE))
    return (more - few) / (MORE - FEW)


def reach() -> None:
    """How long until the network answers as much as it does to what a peer makes by default."""
    convnet = network(trained=True)
    print(f"\nUntil {REACHING} channels reach, on average, what a peer reaches, {SIDE} px")
    for layer in LAYERS:
        everybody = makers(convnet, layer, REACHING)
        for peer, count in OWN_STEPS.items():
            everybody[peer](2)
            pictures: list[np.ndarray] = []
            theirs = clock(lambda m=everybody[peer], n=count, p=pictures: p.append(m(n)))
            goal = _answers(convnet, layer, pictures[0]).mean()
            reached = [_reached(convnet, layer, n, everybody[n], goal, theirs) for n in OURS]
            seconds, detail = min(reached)
            detail = f"{peer} {count} steps {theirs:.1f} s, {detail} {seconds:.1f} s"
            report(layer, detail, theirs / seconds, 2.5)


def _reached(
    convnet: ConvNet, layer: str, recipe: str, make: Make, goal: float, limit: float
) -> tuple[float, str]:
    """Seconds until the mean of all channels is reached, if that takes no longer than the peer."""
    for steps in TRIED:
        pictures: list[np.ndarray] = []
        seconds = clock(lambda n=steps, p=pictures: p.append(make(n)))
        if _answers(convnet, layer, pictures[0]).mean() >= goal:
            return clock(lambda n=steps: make(n)), f"{recipe} {steps} steps"
        if seconds > limit:
            break
    return float("inf"), "never"


def _answers(convnet: ConvNet, layer: str, pictures: np.ndarray) -> np.ndarray:
    """Mean of each picture's own channel, the picture shown as it is."""
    maps = convnet.layer_output(tf.constant(np.float32(pictures)), layer).numpy()
    own = np.arange(len(pictures))
    return maps.mean((1, 2))[own, own]


if __name__ == "__main__":
    parts = {"steps": steps, "reach": reach}
    for name in sys.argv[1:] or parts:
        parts[name]()
