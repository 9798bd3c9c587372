"""docs/draw_diagrams.py: every symbol of the equations is on the drawing, and it can be read."""

from __future__ import annotations

import importlib.util
import itertools
import re
import xml.etree.ElementTree as ET

import pytest
from helpers import ROOT

spec = importlib.util.spec_from_file_location("draw_diagrams", ROOT / "docs" / "draw_diagrams.py")
diagrams = importlib.util.module_from_spec(spec)
spec.loader.exec_module(diagrams)

FOLDER = ROOT / "docs" / "images" / "diagrams"
NAMES = [diagram.__name__ for diagram in diagrams.DIAGRAMS]
SVG = "{http://www.w3.org/2000/svg}"
A_SYMBOL = re.compile(r"[A-Za-z]+~?(?:_\{[^}]+\}|_\w+)?(?:\^\w)?")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("diagrams")
    diagrams.draw(folder)
    return folder


def texts(path) -> list[str]:
    """The texts of an SVG, without the equations that are printed on it."""
    root = ET.parse(path).getroot()
    for parent in list(root.iter()):
        for child in list(parent):
            if child.get("id", "").startswith("equation"):
                parent.remove(child)
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def equations(start: str, end: str) -> set[str]:
    """The symbols of README's equations from a heading to the next; comments do not count."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme[readme.index(f"\n{start} ") :]
    lines = block[: block.index(f"\n{end}")].splitlines()[2:]
    symbols = set()
    for line in lines:
        code = re.split(r" {3,}", re.sub(r" +=", " =", line.strip()))[0]
        symbols.update(A_SYMBOL.findall(code))
    return symbols


@pytest.mark.parametrize(
    ("name", "start", "end", "some"),
    [
        ("vanilla_cell", "simple RNN", "LSTM ", {"h_{t-1}", "W_y", "b_y"}),
        ("lstm_cell", "LSTM", "GRU ", {"c~_t", "b_f", "c_{t-1}"}),
        ("gru_cell", "GRU", "bidirectional", {"W_hn", "b_xr", "z_t"}),
        ("bidirectional", "bidirectional", "```", {"LSTM_b", "h_{t+1}^b"}),
    ],
)
def test_every_symbol_of_the_equations_is_on_the_drawing(drawn, name, start, end, some):
    wanted = equations(start, end)
    assert some <= wanted, "README's equations were not found"
    found = set(A_SYMBOL.findall(" ".join(texts(drawn / f"{name}.svg"))))
    assert wanted <= found, wanted - found


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("rnn_unrolled", "x h y W_x W_h W_y h_0 h_1 h_4 x_1 x_4 y_4"),
        ("encoder_decoder", "LSTM_enc LSTM_dec x_1 h_0 h_S c_S d_0 e_0 d_1 e_1 y_0 W b bos eos"),
        # Both the names of chapter 09 and the query, keys and values of README.
        ("attention", "d_t h_s score a_ts softmax context_t f_t W_c b_c W_o b_o y_t q k_s v_s"),
        ("truncated_bptt", "h c T detach backward"),
        ("padding", "inputs lengths mask B T"),
    ],
)
def test_the_other_drawings_name_what_the_chapters_name(drawn, name, wanted):
    found = set(A_SYMBOL.findall(" ".join(texts(drawn / f"{name}.svg"))))
    assert set(wanted.split()) <= found, set(wanted.split()) - found


@pytest.mark.parametrize("diagram", diagrams.DIAGRAMS, ids=NAMES)
def test_texts_are_large_enough_inside_the_sheet_and_apart(diagram):
    figure = diagram()
    figure.canvas.draw()
    boxes = []
    for text in figure.axes[0].texts:
        assert text.get_fontsize() >= 9, text.get_text()
        extent = text.get_window_extent()
        assert figure.bbox.contains(extent.x0, extent.y0), text.get_text()
        assert figure.bbox.contains(extent.x1, extent.y1), text.get_text()
        boxes.append((text.get_text(), extent))
    assert len(boxes) > 5
    for (one, first), (other, second) in itertools.combinations(boxes, 2):
        assert not first.overlaps(second), f"{one!r} touches {other!r}"


@pytest.mark.parametrize("name", NAMES)
def test_the_files_in_the_repository_are_those_that_the_script_draws(drawn, name):
    assert texts(FOLDER / f"{name}.svg") == texts(drawn / f"{name}.svg")
    size = (FOLDER / f"{name}.png").read_bytes()[16:24]  # width and height
    assert size == (drawn / f"{name}.png").read_bytes()[16:24]
