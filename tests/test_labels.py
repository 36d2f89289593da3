"""Names of classes in the forms people keep them in."""

import json

import nets
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vizlib import ConvNet, InvalidArgumentError, parse_labels, read_labels

NAMES = st.lists(
    st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8).filter(str.strip),
    min_size=1,
    max_size=12,
    unique=True,
)


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\nred fox",
        "  cat \r\n\r\ndog\r\nred fox\r\n",
        "0 cat\n1 dog\n2 red fox",
        "2: red fox\n0: cat\n1: dog",
        "0,cat\n1,dog\n2,red fox",
        "0\tcat\n1\tdog\n2\tred fox",
        '["cat", "dog", "red fox"]',
        '{"cat": 0, "red fox": 2, "dog": 1}',
        '{"0": "cat", "1": "dog", "2": "red fox"}',
        '{"0": ["n01", "cat"], "1": ["n02", "dog"], "2": ["n03", "red fox"]}',
        "{'cat': 0, 'dog': 1, 'red fox': 2}",
        "{0: 'cat', 2: 'red fox', 1: 'dog'}",
        b"\xef\xbb\xbfcat\ndog\nred fox",
        "cat\ndog\nred fox".encode("utf-16"),
    ],
)
def test_all_forms_of_a_text_give_the_same_names(text):
    assert parse_labels(text) == ("cat", "dog", "red fox")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("3 doors down\n10 cc", ("3 doors down", "10 cc")),  # not 0 and 1: part of the name
        ("0\n1\n2", ("0", "1", "2")),
        ('{"1": 0, "2": 1}', ("1", "2")),
        ('{"0": "1", "1": "2"}', ("1", "2")),
        ("[3, 7]", ("3", "7")),
        ("crane\ncrane", ("crane", "crane")),  # a bird and a machine: ImageNet has both
        ("猫\n狗", ("猫", "狗")),
    ],
)
def test_numbers_and_doubles_in_names(text, names):
    assert parse_labels(text) == names


@given(NAMES)
def test_class_indices_go_both_ways(names):
    indices = {name: i for i, name in enumerate(names)}
    assert read_labels(indices) == tuple(names)
    assert read_labels(dict(enumerate(names))) == tuple(names)
    assert parse_labels(json.dumps(indices)) == tuple(names)
    assert parse_labels(str(indices)) == tuple(names)
    assert read_labels({name: np.int64(i) for name, i in indices.items()}) == tuple(names)


def test_a_file_is_read_whatever_it_is_called(tmp_path):
    for name, text in (("names.txt", "cat\ndog"), ("names.json", '["cat", "dog"]')):
        (tmp_path / name).write_text(text)
        assert read_labels(tmp_path / name) == read_labels(str(tmp_path / name)) == ("cat", "dog")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing"),
        (" \n ", "nothing"),
        ("[]", "nothing"),
        ("{}", "nothing"),
        ("[null]", "NoneType"),
        ('[["a"]]', "list"),
        ('{"cat": 0, "dog": 2}', "from 0 to 1"),
        ('{"cat": 1, "dog": 2}', "from 0 to 1"),
        ('{"cat": true}', "from 0 to 0"),
        ('["cat", "dog"', "list or dictionary"),
        ("[" * 100_000, "list or dictionary"),
        ('{"cat": __import__("os")}', "list or dictionary"),
        (b"\xff\x00\x81", "UTF-8"),
    ],
)
def test_what_is_not_a_list_of_names_is_refused(text, reason):
    with pytest.raises(InvalidArgumentError, match=reason):
        parse_labels(text)


def test_a_file_that_is_missing_or_huge_is_refused(tmp_path):
    with pytest.raises(InvalidArgumentError, match="No such file"):
        read_labels(tmp_path / "missing.txt")
    huge = tmp_path / "huge.txt"
    with huge.open("wb") as file:
        file.truncate(5_000_000)
    with pytest.raises(InvalidArgumentError, match="at most"):
        read_labels(huge)
    with pytest.raises(InvalidArgumentError, match="at most"):
        parse_labels("x" * 5_000_000)
    for wrong in (7, b"cat"):
        with pytest.raises(InvalidArgumentError, match="names of the classes"):
            read_labels(wrong)


def test_a_network_takes_them_in_every_form(tmp_path):
    path = tmp_path / "labels.txt"
    path.write_text("cat\ndog")
    for labels in (["cat", "dog"], {"cat": 0, "dog": 1}, path, str(path)):
        assert ConvNet(nets.one_sigmoid(), labels=labels).labels == ("cat", "dog")


@pytest.mark.parametrize("labels", [["cat"], {"cat": 0, "dog": 1, "fox": 2}])
def test_another_number_of_names_than_classes_is_an_error(labels):
    with pytest.raises(
        InvalidArgumentError, match=f"each of the 2 classes. Received: {len(labels)}"
    ):
        ConvNet(nets.one_sigmoid(), labels=labels)
