"""Every limit that a model file from a stranger has to keep, in one place.

Whatever exceeds one is refused before the memory or the time is taken, and the limit appears in
the message. The values leave room for the networks of `keras.applications` at their usual size,
except the largest: ConvNeXtLarge and XLarge have more parameters, and EfficientNetB6, B7 and V2L
more numbers in their outputs. The owner of such a file can raise a limit here, or open it with
``trusted=True``.
"""

from __future__ import annotations

MIB = 1024 * 1024

# The file.
MAX_FILE_BYTES = 600 * MIB  # of the model file; VGG19 with its head is 548 MiB
MAX_MEMBERS = 64  # of a .keras archive, counted before its directory is parsed
MAX_DIRECTORY_BYTES = 64 * 1024  # of the directory of a .keras archive
MAX_JSON_BYTES = 16 * MIB  # of config.json, metadata.json or the attribute model_config
MAX_JSON_DEPTH = 60  # lists and objects inside each other
MAX_JSON_ITEMS = 2_000_000  # texts, lists, objects and commas of one JSON text
MAX_INTEGER_DIGITS = 20  # of one integer in JSON
MAX_EXPANSION = 20  # times: what is compressed may grow this much, ...
EXPANSION_FLOOR = 4 * MIB  # bytes: ... unless it stays below this size
MAX_HDF5_OBJECTS = 20_000  # groups and tensors of an HDF5 file together
MAX_HDF5_DEPTH = 24  # groups inside each other
MAX_HDF5_ATTRIBUTES = 50_000  # attributes of all groups and tensors together
MAX_TENSOR_RANK = 8  # axes of one stored tensor
MAX_NAME_LENGTH = 1024  # characters of one name of an HDF5 file
MAX_TEXT_BYTES = 32 * MIB  # of the architecture and all names in an HDF5 file together
MAX_TEXT_ESTIMATE = 384 * MIB  # of one list of names, if each were as long as the longest text
MAX_WEIGHT_BYTES = 640 * MIB  # of all stored tensors together, once unpacked

# The network.
MAX_PARAMETERS = 160_000_000  # numbers in all weights; VGG19 has 143.7 million
MAX_LAYERS = 2500  # layers, those of nested models included
MAX_NODES = 5000  # calls of layers, those of nested models included
MAX_NESTING = 12  # models inside models
MAX_INPUT_SIDE = 1024  # pixels of one side of the input
MAX_ACTIVATION_ELEMENTS = 64_000_000  # numbers that one layer holds or gives for one image
MAX_ACTIVATION_TOTAL = 400_000_000  # numbers in all layers' outputs for one image
MAX_MULTIPLICATIONS = 250_000_000_000  # for one image; EfficientNetV2L takes 56 billion

# The child process that reads the file.
CHILD_MEMORY_BYTES = 1400 * MIB  # of address space, which no read may exceed
CHILD_CPU_SECONDS = 15  # of computing
CHILD_WALL_SECONDS = 60  # from its start to its answer
CHILD_OPEN_FILES = 16  # at any moment
