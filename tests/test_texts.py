"""All words of the dashboard: in every language, each in its place, and nowhere else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

from pages.ui import language

ROOT = Path(__file__).parent.parent
MODULES = [ROOT / "dashboard.py", *sorted((ROOT / "pages").rglob("*.py"))]
TEXTS = language._catalogue()
# What is the same in all languages.
NAMES = {"networks.origin.keras.applications", "layer_film.logits"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# The texts.


def blanks(text: str) -> set[tuple[str, str]]:
    """What a text leaves open, each with the format of its number."""
    return {(field, spec) for _, field, spec, _ in Formatter().parse(text) if field is not None}


def test_blanks_are_told_apart_by_name_and_format():
    assert blanks("{a:.3g} of {{b}} and {c}") == {("a", ".3g"), ("c", "")}


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_stands_in_every_language(key):
    texts = TEXTS[key]
    assert set(texts) == set(language.LANGUAGES)
    assert all(text.strip() for text in texts.values())
    assert len({frozenset(blanks(text)) for text in texts.values()}) == 1


def is_chinese(text: str) -> bool:
    return bool(re.search(r"[\u3000-\u9fff\uff00-\uffef]", text))


@pytest.mark.parametrize("key", TEXTS)
def test_chinese_is_chinese(key):
    english, chinese = TEXTS[key]["en"], TEXTS[key]["zh"]
    said = re.sub(r"\{.*?\}|`.*?`", "", english)
    assert is_chinese(chinese) or key in NAMES or not re.search("[a-z]{2}", said)
    # Marks as wide as the letters, and nothing beside them.
    assert not re.search(r"[\u4e00-\u9fff][,;:!?]", chinese)
    assert not re.search(r"[\u4e00-\u9fff] [，。：；？！（）、]|[，。：；？！（、] ", chinese)


# Who says what.


def keys_said(source: str) -> Iterator[str]:
    """Patterns of the keys that a module says: of the first argument of `say`, in each case."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called, *arguments = [node.func, *node.args]
        if isinstance(called, ast.Name) and called.id == "partial":
            called, *arguments = arguments
        if isinstance(called, ast.Name) and called.id == "say":
            yield from patterns(arguments[0], tree)


def patterns(key: ast.expr, tree: ast.AST) -> Iterator[str]:
    if isinstance(key, ast.IfExp):
        yield from patterns(key.body, tree)
        yield from patterns(key.orelse, tree)
    elif isinstance(key, ast.Name) and (given := values_of(key.id, tree)):
        for value in given:
            yield from patterns(value, tree)
    elif isinstance(key, ast.JoinedStr):
        parts = (
            re.escape(one.value) if isinstance(one, ast.Constant) else ".+" for one in key.values
        )
        yield "".join(parts)
    else:
        assert isinstance(key, ast.Constant), f"a key that only a run tells: {ast.unparse(key)}"
        yield re.escape(key.value)


def values_of(variable: str, tree: ast.AST) -> list[ast.expr]:
    found = (node for node in ast.walk(tree) if isinstance(node, ast.Assign))
    return [one.value for one in found if variable in map(ast.unparse, one.targets)]


def matching(pattern: str) -> set[str]:
    return {key for key in TEXTS if re.fullmatch(pattern, key)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("say('a.b', c=1)", [r"a\.b"]),
        ("st.caption(say(f'a.{b}'))", [r"a\..+"]),
        ("say('a.b' if c else f'a.{d}.e')", [r"a\.b", r"a\..+\.e"]),
        ("partial(say, 'a.b')", [r"a\.b"]),
        ("key = 'a.b' if c else 'a.d'\nsay(key)", [r"a\.b", r"a\.d"]),
        ("partial(tell, 'a.b')", []),
    ],
)
def test_keys_are_found_wherever_they_are_said(source, expected):
    assert list(keys_said(source)) == expected


def test_a_key_that_only_a_run_tells_is_refused():
    with pytest.raises(AssertionError, match="only a run tells"):
        list(keys_said("for key in keys: say(key)"))


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_every_text_that_is_said_exists(path):
    said = keys_said(path.read_text(encoding="utf-8"))
    assert [pattern for pattern in said if not matching(pattern)] == []


def test_every_text_is_said():
    said = {pattern for path in MODULES for pattern in keys_said(path.read_text(encoding="utf-8"))}
    assert set(TEXTS) - set().union(*map(matching, said)) == set()


def test_texts_stand_in_the_file_of_the_module_that_says_them():
    files = {path.stem for path in (ROOT / "pages/texts").glob("*.toml")}
    assert files <= {path.stem for path in MODULES}


def test_every_sample_photo_has_a_title():
    photos = {path.stem for path in (ROOT / "sample_images").iterdir() if path.suffix != ".md"}
    assert {f"photos.sample.{photo}" for photo in photos} == matching(r"photos\.sample\..+")


# Words that are in the code instead.

#: Of the code that "Copy as Python" gives, which is the same in all languages.
CODE = {"scripts.py"}
#: Parts of methods of Streamlit whose first argument is shown, and arguments that are shown.
SHOWING = re.compile(
    "header|title|caption|markdown|write|text|info|warning|error|success|button|input|area|spinner|"
    "uploader|selectbox|multiselect|control|pills|radio|slider|toggle|checkbox|expander|progress|"
    "tabs|popover|status|metric|toast|dialog|badge"
)
SHOWN = {"label", "help", "placeholder", "text", "alt", "title", "caption", "body", "unit"}
#: What is the same in all languages.
AS_THEY_ARE = {
    *("PNG", "NPZ"),  # kinds of files
    *("Grad-CAM", "HiResCAM", "XGrad-CAM", "LayerCAM", "Finer-CAM", "Score-CAM", "Ablation-CAM"),
    *("Grad-CAM++", "Eigen-CAM", "Saliency", "Gradient x input", "Integrated Gradients"),
    *("SmoothGrad", "Guided backprop", "Guided Grad-CAM", "Occlusion", "RISE"),  # of methods
    *("Language · 语言", "English"),  # for those who cannot read what is around
    *("Option", "Chosen", "Template"),  # names of types and modules
    *("Conv", "Pool", "Add", "Concatenate", "Multiply", "Average", "Maximum", "Minimum"),
    *("Subtract", "Dense", "Rescaling", "Normalization", "Resizing", "Dropout"),  # of layers
    *("Gradient", "grid small"),  # of a family of methods, of styles
}
#: Icons, marks of HTML, styles, and commands of formulas.
_MARKUP = re.compile(
    r":material/\w+:|<style>.*?</style>|<[^<>]*>|\\[a-z]+"
    r"|(?:class|role)=\"\w+\"|aria-label=\"0\"|[a-z-]+: (?:0%|(?:rgb|repeat)\([^()]*\))|; color: 0",
    re.DOTALL,
)
_BESIDE_SPACE = re.compile(r"[A-Za-z]{2,}[^\w\s]*\s|\s[^\w\s]*[A-Za-z]{2,}")
_CAPITAL = re.compile(r"[A-Z][a-z]+\b")


def written(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else "0"


def literals(tree: ast.AST) -> Iterator[tuple[ast.expr, str]]:
    """Texts in the code, with a digit for each blank; not their parts, not documentation."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            skipped.add(node.value)
        if isinstance(node, ast.JoinedStr):
            skipped |= {one for one in node.values if isinstance(one, ast.Constant)}
            skipped |= {
                one.format_spec for one in node.values if isinstance(one, ast.FormattedValue)
            }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node, node.value
        elif isinstance(node, ast.JoinedStr):
            yield node, "".join(written(one) for one in node.values)


def not_shown(tree: ast.AST) -> set[ast.AST]:
    """What browsers run and what goes to the log, with all that is inside."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets = {target.id for target in node.targets if isinstance(target, ast.Name)}
            found += [node.value] * any(name.endswith(("_JS", "_CSS", "_HTML")) for name in targets)
        elif isinstance(node, ast.Call):
            found += [one.value for one in node.keywords if one.arg in ("js", "css", "html")]
            if ast.unparse(node.func).startswith("logging.getLogger"):
                found += node.args
    return {inside for node in found for inside in ast.walk(node)}


def shown(tree: ast.AST) -> set[ast.AST]:
    """What stands where Streamlit shows it, with all that is inside but the keys of texts."""
    found: list[ast.AST] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if SHOWING.search(node.func.attr):
                found += node.args[:1]
            found += [one.value for one in node.keywords if one.arg in SHOWN]
    return {inside for node in found for inside in outside_of_calls(node)}


def outside_of_calls(node: ast.AST) -> Iterator[ast.AST]:
    if isinstance(node, ast.Call | ast.FormattedValue | ast.Subscript | ast.Compare):
        return
    yield node
    for inner in ast.iter_child_nodes(node):
        yield from outside_of_calls(inner)


def words(source: str) -> list[str]:
    """What is written in the code though somebody may read it."""
    tree = ast.parse(source)
    left_out, in_sight = not_shown(tree), shown(tree)
    found = []
    for node, text in literals(tree):
        text = _MARKUP.sub("", text)
        if node in left_out or text in AS_THEY_ARE:
            continue
        spoken = _BESIDE_SPACE.search(text) or _CAPITAL.fullmatch(text)
        if spoken or (node in in_sight and re.search("[A-Za-z]{2}", text)):
            found.append(text)
    return found


@pytest.mark.parametrize(
    "offender",
    [
        "st.caption('Nothing to see here.')",
        "st.button('Go')",
        "st.button('go', key='go')",
        "left.selectbox(label='order', options=['index'])",
        "column.metric('loss', 3)",
        "st.image(picture, alt='photo')",
        "st.image(picture, alt=f'{photo}: photo')",
        "st.info('so' if certain else 'perhaps')",
        "st.slider(say('a.b'), help='more')",
        "VIEWS = {'one': 'One picture'}",
        "title = f'{count} patterns'",
        "facts = f'width: {width} pixels'",
        "lambda s: f'by {s}'",
        "['Samples', 'Upload']",
        "raise ValueError('Expected more.')",
        "def f():\n    '''Say.'''\n    return 'not a docstring'",
        "job = Job(key, 'All patterns ' 'of a layer')",
        "text = 'Found: ' + found",
        "st.markdown(f'**Size**: {width}')",
        "st.header(':material/face: face')",
    ],
)
def test_words_in_the_code_are_found(offender):
    assert len(words(offender)) >= 1


@pytest.mark.parametrize(
    "innocent",
    [
        "'''What a module is for.'''",
        "def f():\n    '''Say much.'''",
        "st.caption(say('filters.title', view='one'))",
        "st.info(say('a.b'), icon=':material/info:')",
        "st.selectbox(say('a.b'), ['index', 'strength'], key='order')",
        "st.caption(f'{low:.3g} · {high:.3g}')",
        "st.markdown(' · '.join(facts))",
        "st.session_state['chosen']",
        "_JS = 'export default function () {}'",
        "component('mosaic', css=_CSS, js='const a = 1;')",
        "logging.getLogger(__name__).exception('While drawing a page')",
        "st.image(picture, alt=titles['one'])",
        "f'{width} x {height}'",
    ],
)
def test_what_nobody_reads_is_let_be(innocent):
    assert words(innocent) == []


@pytest.mark.parametrize("path", [path for path in MODULES if path.name not in CODE], ids=name)
def test_no_words_stand_in_the_code(path):
    assert words(path.read_text(encoding="utf-8")) == []


# Words in what browsers run.

#: Names of keys and of roles.
NOT_SAID = {"Enter", "Escape", "Home", "End"}


def scripts() -> Iterator[tuple[Path, str]]:
    for path in sorted((ROOT / "pages").rglob("*.js")):
        yield path, path.read_text(encoding="utf-8")
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        inside = [one.value for one in not_shown(tree) if isinstance(one, ast.Constant)]
        if path.name not in CODE and inside:
            yield path, "\n".join(str(one) for one in inside)


def words_of_script(source: str) -> list[str]:
    """Texts in quotes that look like words, and what stands between marks of HTML."""
    code = re.sub(r"(?m)//.*$|/\*.*?\*/", "", source)
    quoted = re.findall(r"\"([^\"\n]*)\"|'([^'\n]*)'|`([^`]*)`", code)
    texts = [re.sub(r"\$\{.*?\}", "0", "".join(found)) for found in quoted]
    said = [
        text
        for text in texts
        if re.search(r"^[A-Z][a-z]|[a-z][,.:]? [a-z]+ [a-z]|\d [a-z]{2}", text)
    ]
    between = re.findall(r">([^<>{}=;]*[A-Za-z]{2}[^<>{}=;]*)</", code)
    return [text for text in said + between if text not in NOT_SAID]


@pytest.mark.parametrize(
    "offender",
    [
        "button('−', 'Smaller', press)",
        'search.placeholder = "Find a layer";',
        'set("aria-roledescription", "mosaic, move with the arrow keys");',
        "label.textContent = `${hit} of ${count}`;",
        '<label for="opacity">Opacity of the map</label>',
    ],
)
def test_words_in_a_script_are_found(offender):
    assert len(words_of_script(offender)) == 1


@pytest.mark.parametrize(
    "innocent",
    [
        'root.className = "mark picked";',
        'if (event.key !== "Enter") return;',
        '// It is what it\'s "Said to be"',
        "root.style.backgroundSize = `calc(100% / ${columns}) calc(100% / ${rows})`;",
        "const small = (a) => a < 3; const big = (b) => b > 4;",
        '<label for="opacity"></label>',
    ],
)
def test_what_a_script_does_not_say_is_let_be(innocent):
    assert words_of_script(innocent) == []


SCRIPTS = dict(scripts())


@pytest.mark.parametrize("path", SCRIPTS, ids=name)
def test_no_words_stand_in_scripts(path):
    assert words_of_script(SCRIPTS[path]) == []
