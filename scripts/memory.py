"""How much memory a server needs: `python scripts/memory.py [network ...]`.

Each line is a process of its own that does all that is written before it, too: peak of its resident
memory as Linux counts it. Networks are built without weights, which take as much room as trained
ones; names are those of `keras.applications`.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
NETWORKS = ("MobileNetV2", "VGG16")
_SERVER = "import streamlit.web.server"
_LIBRARY = "import numpy as np, vizlib"
_NETWORK = """
import keras
convnet = vizlib.ConvNet(keras.applications.{name}(weights=None), preprocess="raw")
image = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype="uint8")
layer = [one.name for one in convnet.layers if one.kind == "Conv2D"][-1]
convnet.predict(image)
"""
_WORK = {
    "one photo through it": "",
    "the maps of its widest layer": """
widest = max(convnet.layers, key=lambda one: np.prod(one.shape))
vizlib.activations(convnet, image, [widest.name])""",
    "Grad-CAM": "vizlib.grad_cam(convnet, image)",
    "Integrated Gradients": "vizlib.HEATMAP_METHODS['Integrated Gradients'](convnet, image)",
    "16 filter patterns of 128 pixels": (
        "vizlib.filter_patterns(convnet, layer, range(16), size=128, steps=8)"
    ),
}
_PEAK = "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def peak_mebibytes(steps: Iterable[str]) -> int:
    """Run steps in a fresh process; the most that it has held."""
    answer = subprocess.run(
        [sys.executable, "-c", "\n".join([*steps, _PEAK])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(answer.stdout.split()[-1]) // 1024


def main(names: Iterable[str]) -> None:
    """Print a table."""
    print(f"{peak_mebibytes([_SERVER]):6} MiB  Streamlit alone")
    print(f"{peak_mebibytes([_SERVER, _LIBRARY]):6} MiB  with TensorFlow: nobody has come yet")
    for name in names:
        network = [_SERVER, _LIBRARY, _NETWORK.format(name=name)]
        for title, work in _WORK.items():
            print(f"{peak_mebibytes([*network, work]):6} MiB  {name}, {title}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or NETWORKS)
