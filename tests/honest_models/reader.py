"""Reads stored models for tests with plain zipfile and h5py: none of the product's readers."""

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np

from vizlib.model_files import StoredModel


def read(path):
    data = Path(path).read_bytes()
    return _read_archive(data) if data.startswith(b"PK") else _read_legacy(data)


def _read_archive(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        config = json.loads(archive.read("config.json"))
        weights = archive.read("model.weights.h5")
    with h5py.File(io.BytesIO(weights)) as file:
        return StoredModel(config, "keras3", _tensors(file))


def _tensors(file):
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            found[name] = np.asarray(item)

    file.visititems(visit)
    return found


def _read_legacy(data):
    with h5py.File(io.BytesIO(data)) as file:
        config = json.loads(file.attrs["model_config"])
        group = file["model_weights"]
        order, weights = [], {}
        for layer in _names(group.attrs["layer_names"]):
            names = _names(group[layer].attrs["weight_names"])
            order.append((layer, tuple(names)))
            weights |= {f"{layer}/{name}": np.asarray(group[layer][name]) for name in names}
    return StoredModel(config, "legacy", weights, tuple(order))


def _names(values):
    return [value.decode() if isinstance(value, bytes) else value for value in values]
