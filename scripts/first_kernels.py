"""Write down how large the first kernels of published networks are.

    python scripts/first_kernels.py

`vizlib.inspect_preprocessing` tells by these norms, 64 numbers for VGG16, whether the weights of a
user's network started from the published ones. Only networks without batch normalisation need it.
"""

import json
from pathlib import Path

import numpy as np

import vizlib
from vizlib.inspection import first_kernel_norms

FILE = Path(__file__).parent.parent / "vizlib" / "data" / "first_kernels.json"


def main() -> None:
    """Write the file."""
    norms = first_kernel_norms(vizlib.load_convnet("vgg16-base"), "block1_conv1")
    entry = {"layer": "block1_conv1", "norms": [float(x) for x in np.round(norms, 4)]}
    FILE.write_text(json.dumps({"networks": {"VGG16": entry}}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
