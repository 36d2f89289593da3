"""The shape of the repository: who may import whom, what is public, what is kept small."""

import ast
import inspect
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import vizlib

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "vizlib").rglob("*.py"))
APP = sorted([*ROOT.glob("dashboard.py"), *(ROOT / "pages").rglob("*.py")])
FRAMEWORKS = {"keras", "tensorflow"}
MAY_IMPORT_FRAMEWORKS = {
    *("convnet", "zoo", "user_models", "rebuild", "watching", "inputs", "heads", "layers"),
    *("architectures", "weights_alone", "input_gradients", "sanity", "dependence"),
    *("filters/ascent", "filters/optimisers", "filters/parameterisations", "filters/readings"),
    *(
        "filters/transforms",
        "filters/windows",
        "receptive_field",
        "bfloat16",
        "convolution_steps",
        "wiring",
    ),
}
# Files that write paths leading out into hostile models on purpose.
ATTACKS = {"hostile_files", "test_vetting", "test_model_files", "test_confinement"}
PUBLIC = {
    *("confinement_layers", "faithfulness", "objectives", "Objective"),
    *("FILTER_RECIPES", "HEATMAP_METHODS", "LAYER_METHODS", "PIXEL_METHODS", "PREPROCESSINGS"),
    *("ZOO", "heatmap_manifest", "heatmap_report", "Contributions", "channel_contributions"),
    *("ConvNet", "FilterPatterns", "Heatmap", "Language", "LayerInfo", "Prediction"),
    *("InvalidArgumentError", "ModelLoadError", "UnknownLayerError", "UnreadableImageError"),
    *("UnsafeModelError", "UnsupportedModelError", "VizlibError", "WeightsUnavailableError"),
    *("activations", "available_convnets", "channel_strength", "dead_channels"),
    *("FilterAtlas", "filter_atlas"),
    *("diverse_patterns", "filter_patterns", "optimize"),
    *("grad_cam", "load_convnet", "load_image", "render"),
    *(
        "available_architectures",
        "inspect_preprocessing",
        "PreprocessingReport",
        "Reading",
        "parse_labels",
        "read_labels",
    ),
    *("ablation_cam", "eigen_cam", "finer_cam", "grad_cam_plus_plus", "gradient_times_input"),
    *("guided_backprop", "hires_cam", "integrated_gradients", "layer_cam", "occlusion", "rise"),
    *("ReceptiveField", "receptive_field", "ClassesFed", "FedClass", "classes_fed"),
    *("Convolution", "ConvolutionStep", "convolution", "convolution_layers", "Window"),
    *("Pooling", "PoolingStep", "pooling", "pooling_layers"),
    *("LayerPeaks", "Patch", "images_in", "layer_peaks", "peak_patches", "top_patches"),
    *("GraphLayout", "LayerGraph", "LayerNode", "StrongestChannel"),
    *("graph_layout", "strongest_channels"),
    *("saliency", "score_cam", "smooth_grad", "xgrad_cam"),
}
MOST_LINES = 40


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def module(path: Path) -> str:
    """Address inside vizlib, such as ``"render"`` or ``"filters/transforms"``."""
    inside = path.relative_to(ROOT / "vizlib").with_suffix("")
    return str(inside.parent if inside.name == "__init__" and inside.parent.name else inside)


def imports(path: Path) -> set[str]:
    """Every module that a file imports, by full name, wherever in the file and however."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found |= {base} | {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and _is_import_call(node):
            found.add(str(node.args[0].value))
    return found


def _is_import_call(node: ast.Call) -> bool:
    called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
    named = bool(node.args) and isinstance(node.args[0], ast.Constant)
    return called in ("import_module", "__import__") and named


def packages(path: Path) -> set[str]:
    return {module.split(".")[0] for module in imports(path)}


def siblings(path: Path) -> set[str]:
    """The vizlib modules that a module of vizlib imports, a folder's own modules one by one."""
    known = {module(other) for other in LIBRARY}
    addresses = {found.replace(".", "/") for found in imports(path)}
    inside = {address.removeprefix("vizlib/") for address in addresses if "/" in address}
    found = {_closest(address, known) for address in inside} & known
    # A name taken from a folder is taken from the module inside it, where there is such a module.
    return {one for one in found if not any(other.startswith(f"{one}/") for other in found)}


def _closest(address: str, known: set[str]) -> str:
    while address not in known and "/" in address:
        address = address.rpartition("/")[0]
    return address


# Who may import whom.


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import keras", {"keras"}),
        ("def f():\n    from tensorflow.io import x", {"tensorflow.io", "tensorflow.io.x"}),
        ("from vizlib import render", {"vizlib", "vizlib.render"}),
        ("importlib.import_module('streamlit')", {"streamlit"}),
        ("from . import render", {".", "..render"}),
    ],
)
def test_the_imports_of_a_file_are_all_found(source, expected, tmp_path):
    (tmp_path / "some.py").write_text(source)
    assert imports(tmp_path / "some.py") == expected


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_the_library_shows_nothing(path):
    assert not packages(path) & {"streamlit", "pages", "dashboard", "ray"}
    assert not {module for module in imports(path) if module.startswith("matplotlib.pyplot")}
    assert not {module for module in imports(path) if module.startswith(".")}


@pytest.mark.parametrize("path", LIBRARY, ids=name)
def test_frameworks_are_imported_where_they_are_needed_only(path):
    if packages(path) & FRAMEWORKS:
        assert module(path) in MAY_IMPORT_FRAMEWORKS


@pytest.mark.parametrize("path", APP, ids=name)
def test_the_app_leaves_networks_to_the_library(path):
    assert not packages(path) & FRAMEWORKS


@pytest.mark.parametrize("pixels", ["render", "images"])
def test_pixels_know_of_no_network(pixels):
    path = ROOT / "vizlib" / f"{pixels}.py"
    assert siblings(path) == {"errors"}
    assert not packages(path) & FRAMEWORKS


ALGORITHMS = {"activations", "filters", "cams", "attributions", "perturbations"}


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_algorithms_ignore_one_another(algorithm):
    parts = [path for path in LIBRARY if module(path).split("/")[0] == algorithm]
    known = set().union(*map(siblings, parts))
    assert "convnet" in known
    outside = {one.split("/")[0] for one in known} - {algorithm}
    assert not outside & (ALGORITHMS | {"render", "images", "zoo"})


def test_the_library_has_no_circle():
    arrows = {module(path): siblings(path) for path in LIBRARY if module(path) != "__init__"}
    while arrows:
        free = {one for one, known in arrows.items() if not known & set(arrows)}
        assert free, f"modules that import one another: {sorted(arrows)}"
        arrows = {one: known for one, known in arrows.items() if one not in free}


def test_importing_the_library_is_no_detour():
    """In a fresh process, because this one has imported everything already.

    Keras imports pyplot itself where it finds it; only what the library adds to Keras counts.
    """
    check = """if True:
        import keras, sys
        unwanted = {"streamlit", "matplotlib.pyplot", "ray"} - set(sys.modules)
        import vizlib
        print(*unwanted & set(sys.modules))"""
    answer = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout.strip()) == (0, ""), answer.stderr


@pytest.mark.parametrize("module", ["render", "images"])
def test_pixels_need_neither_keras_nor_pyplot(module):
    """Their own file, loaded without the package around it."""
    check = f"""if True:
        import sys, types
        package = types.ModuleType("vizlib")
        package.__path__ = ["vizlib"]
        sys.modules["vizlib"] = package
        import vizlib.{module}
        unwanted = "streamlit", "matplotlib.pyplot", "keras", "tensorflow"
        print(*[name for name in unwanted if name in sys.modules])"""
    answer = subprocess.run(
        [sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (answer.returncode, answer.stdout.strip()) == (0, ""), answer.stderr


# What is public.


def test_the_public_names():
    assert set(vizlib.__all__) == PUBLIC
    assert len(vizlib.__all__) == len(PUBLIC)
    assert all(hasattr(vizlib, public) for public in PUBLIC)


def explained(documentation: str | None) -> bool:
    return bool(documentation) and documentation.strip().splitlines()[0].strip()[-1] in ".?:"


def public_callables() -> Iterator[tuple[str, object]]:
    for public in sorted(PUBLIC):
        found = getattr(vizlib, public, None)
        if inspect.isfunction(found) or inspect.isclass(found):
            yield public, found
    for public, found in inspect.getmembers(vizlib.render, inspect.isfunction):
        if not public.startswith("_"):
            yield f"render.{public}", found
    for folder in ("faithfulness", "objectives"):
        part = getattr(vizlib, folder)
        functions = ((public, getattr(part, public)) for public in part.__all__)
        yield from ((f"{folder}.{public}", found) for public, found in functions if callable(found))
    for public, found in inspect.getmembers(vizlib.ConvNet):
        if not public.startswith("_"):
            yield f"ConvNet.{public}", found


@pytest.mark.parametrize(
    ("public", "found"), [*public_callables()], ids=lambda x: x if isinstance(x, str) else ""
)
def test_every_public_name_is_explained(public, found):
    assert explained(inspect.getdoc(found))


def public_functions() -> Iterator[tuple[str, object]]:
    return ((public, found) for public, found in public_callables() if inspect.isfunction(found))


@pytest.mark.parametrize(
    ("public", "function"), [*public_functions()], ids=lambda x: x if isinstance(x, str) else ""
)
def test_parameters_are_explained(public, function):
    """Long docstrings in numpydoc's sections, short ones by naming what they take."""
    documentation = inspect.getdoc(function) or ""
    parameters = [p for p in inspect.signature(function).parameters if p != "self"]
    if "Parameters\n---" in documentation:
        stated = re.findall(r"^(\w[\w, ]*?)(?: :.*)?$", documentation, flags=re.MULTILINE)
        named = {part.strip() for line in stated for part in line.split(",")}
        assert set(parameters) <= named
        assert public == "render.to_png" or "Returns\n---" in documentation
    else:
        assert len(parameters) <= 2


def test_functions_with_options_have_sections():
    methods = {method.__name__ for method in vizlib.HEATMAP_METHODS.values()}
    others = {"activations", "load_convnet", "load_image"}
    others |= {"diverse_patterns", "filter_patterns", "optimize"}
    for public in methods | others:
        documentation = inspect.getdoc(getattr(vizlib, public))
        for section in ("Parameters", "Returns", "Raises"):
            assert f"{section}\n{'-' * len(section)}\n" in documentation, (public, section)


def test_the_error_tree():
    parents = {
        "InvalidArgumentError": (vizlib.VizlibError, ValueError),
        "UnsupportedModelError": (vizlib.VizlibError,),
        "UnknownLayerError": (vizlib.VizlibError, LookupError),
        "UnreadableImageError": (vizlib.VizlibError,),
        "ModelLoadError": (vizlib.VizlibError,),
        "UnsafeModelError": (vizlib.ModelLoadError,),
        "WeightsUnavailableError": (vizlib.ModelLoadError,),
    }
    assert vizlib.VizlibError.__bases__ == (Exception,)
    for error, bases in parents.items():
        assert getattr(vizlib, error).__bases__ == bases


def test_the_version():
    assert re.fullmatch(r"\d+\.\d+\.\d+", vizlib.__version__)


# What is kept small.


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    body = function.body
    is_text = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    start = (body[0].end_lineno + 1) if is_text else body[0].lineno
    return function.end_lineno - start + 1


def test_the_length_of_a_function_is_that_of_its_body():
    source = 'def f(\n    x,\n):\n    """Say\n    much."""\n\n    y = x\n    return y\n'
    assert body_lines(ast.parse(source).body[0]) == 3


@pytest.mark.parametrize("path", [*LIBRARY, *APP], ids=name)
def test_no_function_is_long(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    lengths = {node.name: body_lines(node) for node in tree if isinstance(node, kinds)}
    assert {name: n for name, n in lengths.items() if n > MOST_LINES} == {}


# What it rests on.


def requirements(file: str) -> list[str]:
    lines = (ROOT / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize(
    "requirement", [*requirements("requirements.txt"), *requirements("requirements-test.txt")]
)
def test_every_requirement_has_both_ends(requirement):
    assert re.fullmatch(r"[\w-]+>=\d+(\.\d+)*,<\d+(\.\d+)*", requirement)


def test_every_package_imported_is_required():
    stated = {re.split(r"[><=]", line)[0] for line in requirements("requirements.txt")}
    called = {"cv2": "opencv-python-headless", "PIL": "pillow"}
    own = {"vizlib", "pages", "dashboard", *sys.stdlib_module_names}
    for path in [*LIBRARY, *APP]:
        used = {called.get(package, package) for package in packages(path) - own}
        assert used <= stated, name(path)


def test_only_the_opencv_without_windows_is_required():
    stated = [line for line in requirements("requirements.txt") if line.startswith("opencv")]
    assert len(stated) == 1
    assert stated[0].startswith("opencv-python-headless>=")


def test_the_package_data_exists():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = settings["package-dir"]
    for package, patterns in settings["package-data"].items():
        folder = ROOT / folders.get(package, package.replace(".", "/"))
        assert all(list(folder.glob(pattern)) for pattern in patterns), package


PHOTOS = sorted(
    path for path in (ROOT / "sample_images").iterdir() if path.suffix in (".jpg", ".png")
)


def test_there_are_photos():
    assert len(PHOTOS) >= 10


@pytest.mark.parametrize("path", PHOTOS, ids=name)
def test_every_photo_loads_and_has_a_source(path):
    image = vizlib.load_image(path)
    assert min(image.shape[:2]) >= 200
    sources = (path.parent / "SOURCES.md").read_text(encoding="utf-8")
    row = next(line for line in sources.splitlines() if line.startswith(f"| `{path.name}` |"))
    assert re.search(r"CC0|public domain", row)


def test_every_source_has_its_photo():
    rows = re.findall(r"^\| `(.+?)` \|", (ROOT / "sample_images/SOURCES.md").read_text(), re.M)
    assert sorted(rows) == [path.name for path in PHOTOS]


def test_every_bundled_network_is_described():
    folder = ROOT / "sample_models"
    text = (folder / "README.md").read_text(encoding="utf-8")
    for path in [*folder.glob("*.keras"), *folder.glob("*.h5")]:
        assert f"`{path.name}`" in text


CODE = sorted(
    path
    for folder in ("vizlib", "pages", "tests", "scripts", "examples", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
) + sorted(ROOT.glob("*.py"))


@pytest.mark.parametrize("path", CODE, ids=name)
def test_nothing_outside_the_repository_is_referred_to(path):
    """No ``..`` that leads out of it, and no address on one person's machine."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert path.stem in ATTACKS or not _leads_out(node.value, path), node.value


def _leads_out(text: str, path: Path) -> bool:
    if re.match(r"/(home|mnt|root|srv|work|Users)/", text):
        return True
    climbs = re.match(r"(\.\./)+", text)
    depth = len(path.relative_to(ROOT).parts) - 1
    return climbs is not None and len(climbs[0]) // 3 > depth
