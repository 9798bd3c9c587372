"""Draw the diagrams of the course, each as SVG and PNG.

    python docs/draw_diagrams.py            # into docs/images/diagrams/
    python docs/draw_diagrams.py FOLDER

Names on a drawing are spelled as in the equations of the chapters: h_{t-1}, W_x, c~_t.  Colours
mean the same in all diagrams: green is an input, blue a state h, orange the memory c of an LSTM
(also a decoder, and a gradient), pink a gate, black a weight or an operation.

All measures are inches, so a text of 9 points is 1/8 high.  The origin is the lower left corner.
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path as Points

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import rnn_utils as ru  # noqa: E402

FOLDER = ROOT / "docs" / "images" / "diagrams"
PAPER = "#FAF9F5"  # a light sheet with round corners, also legible on a dark page
INK = "#222222"
INPUT, STATE, MEMORY, GATE = "#007A59", ru.BLUE, "#B84E00", "#A8497F"  # darker for thin letters
UNDER = {"fc": PAPER, "ec": "none", "pad": 0.6}  # paper under a text, to hide a line
SOFT = {INPUT: "#D9F0E8", STATE: "#D6E8F5", MEMORY: "#FBE3D3", GATE: "#F6E1EC", INK: "#FFFFFF"}


# ---- The pieces of a drawing -------------------------------------------------------
def sheet(width: float, height: float):
    """Return the axes of a new figure of so many inches."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.axis("off")
    style = "round,pad=0,rounding_size=0.15"
    axes.add_patch(FancyBboxPatch((0, 0), width, height, style, fc=PAPER, ec="none", zorder=0))
    return axes


def label(axes, x, y, text: str, color=INK, size=9.5, **options):
    """Words."""
    options = {"ha": "center", "va": "center", **options}
    return axes.text(x, y, text, color=color, size=size, parse_math=False, zorder=6, **options)


def symbol(axes, x, y, text: str, color=INK, size=10.5, **options):
    """A name from an equation."""
    return label(axes, x, y, text, color, size, family="monospace", **options)


def equations(axes, x, y, lines: list, size=9.5, gap=0.2) -> None:
    """Equations, one below the other, each with its colour."""
    for row, (text, color) in enumerate(lines):
        text = text.replace(" ", "\u00a0")  # an SVG shows several spaces as one
        symbol(axes, x, y - row * gap, text, color, size, ha="left", gid=f"equation{row}")


def box(axes, x, y, text: str, color=INK, width=0.62, height=0.36, size=10.5):
    """A rounded box with its centre at (x, y)."""
    corner = (x - width / 2, y - height / 2)
    style = "round,pad=0,rounding_size=0.07"
    patch = FancyBboxPatch(corner, width, height, style, fc=SOFT[color], ec=color, lw=1.3, zorder=4)
    axes.add_patch(patch)
    symbol(axes, x, y, text, color, size)


def circle(axes, x, y, text: str, color=INK, size=12, radius=0.15) -> None:
    """An operation that works unit by unit."""
    axes.add_patch(Circle((x, y), radius, fc="white", ec=color, lw=1.3, zorder=4))
    symbol(axes, x, y, text, color, size)


def frame(axes, x, y, width, height, text: str) -> None:
    """The border of a cell, with its name in the upper left corner."""
    style = "round,pad=0,rounding_size=0.18"
    patch = FancyBboxPatch((x, y), width, height, style, fc="white", ec="#BBBBBB", lw=1.2, zorder=1)
    axes.add_patch(patch)
    label(axes, x + 0.12, y + height - 0.17, text, "#666666", ha="left")


def line(axes, *points, color=INK, head=True, dashed=False, width=1.5) -> None:
    """A line through the points, with an arrow head at its end."""
    axes.add_patch(
        FancyArrowPatch(
            path=Points(points), arrowstyle="-|>" if head else "-", mutation_scale=11, fc=color,
            ec=color, lw=width, ls=(0, (3, 2)) if dashed else "-", zorder=3, shrinkA=0, shrinkB=0,
            joinstyle="round", capstyle="butt",
        )
    )  # fmt: skip


def dot(axes, x, y, color) -> None:
    """Where a line branches."""
    axes.plot([x], [y], "o", color=color, ms=4.5, zorder=5)


def cells(axes, x, y, texts, colors, size=0.3) -> None:
    """A row of small squares."""
    for column, (text, color) in enumerate(zip(texts, colors)):
        corner = (x + column * size, y)
        axes.add_patch(Rectangle(corner, size, size, fc=color, ec="white", lw=1.5, zorder=3))
        symbol(axes, corner[0] + size / 2, y + size / 2, text, size=9.5)


# ---- Cells -------------------------------------------------------------------------
def rnn_unrolled():
    axes = sheet(8, 3.3)
    label(axes, 1.05, 3.08, "folded", weight="bold")
    label(axes, 5.2, 3.08, "unrolled over T = 4 steps, with the same weights", weight="bold")
    box(axes, 0.95, 1.65, "h", STATE)
    line(axes, (0.95, 0.72), (0.95, 1.47), color=INPUT)
    line(axes, (0.95, 1.83), (0.95, 2.58), color=INK)
    line(axes, (1.26, 1.74), (1.6, 1.74), (1.6, 1.2), (1.08, 1.2), (1.08, 1.47), color=STATE)
    for x, y, text in [(0.68, 1.05, "W_x"), (0.68, 2.2, "W_y"), (1.88, 1.6, "W_h")]:
        symbol(axes, x, y, text)
    symbol(axes, 0.95, 0.58, "x", INPUT)
    symbol(axes, 0.95, 2.72, "y")
    axes.plot([2.3, 2.3], [0.45, 2.9], color="#BBBBBB", lw=1)
    symbol(axes, 2.66, 1.65, "h_0", STATE)
    for t in range(1, 5):
        x = 2.5 + 1.25 * t
        line(axes, (x - 1.25 + (0.31 if t > 1 else 0.33), 1.65), (x - 0.31, 1.65), color=STATE)
        line(axes, (x, 0.72), (x, 1.47), color=INPUT)
        line(axes, (x, 1.83), (x, 2.58))
        box(axes, x, 1.65, f"h_{t}", STATE)
        symbol(axes, x - 0.63, 1.82, "W_h")
        symbol(axes, x - 0.27, 1.05, "W_x")
        symbol(axes, x - 0.27, 2.2, "W_y")
        symbol(axes, x, 0.58, f"x_{t}", INPUT)
        symbol(axes, x, 2.72, f"y_{t}")
    label(axes, 4, 0.22, "h_0 = 0, and h_T (here h_4) has read the whole sequence.")
    return axes.figure


def vanilla_cell():
    axes = sheet(8, 3.75)
    frame(axes, 1.1, 1.05, 4.1, 2.3, "simple RNN, step t")
    line(axes, (0.75, 2.3), (1.69, 2.3), color=STATE)
    line(axes, (2.31, 2.3), (2.95, 2.3), color=STATE)
    line(axes, (3.1, 0.85), (3.1, 1.32), color=INPUT)
    line(axes, (3.1, 1.68), (3.1, 2.15), color=INPUT)
    line(axes, (3.1, 2.85), (3.1, 2.45))
    line(axes, (3.25, 2.3), (3.84, 2.3))
    line(axes, (4.46, 2.3), (5.6, 2.3), color=STATE)
    symbol(axes, 0.4, 2.3, "h_{t-1}", STATE)
    symbol(axes, 3.1, 0.7, "x_t", INPUT)
    symbol(axes, 3.1, 2.97, "b")
    symbol(axes, 5.8, 2.3, "h_t", STATE)
    box(axes, 2.0, 2.3, "W_h")
    box(axes, 3.1, 1.5, "W_x")
    circle(axes, 3.1, 2.3, "+")
    box(axes, 4.15, 2.3, "tanh")
    label(axes, 5.8, 2.02, "to step t + 1", "#666666", 9)
    # The answer, from the last state.
    x = 6.85
    label(axes, x, 1.1, "only after\nthe last step", "#666666", 9)
    symbol(axes, x, 1.47, "h_T", STATE)
    line(axes, (x, 1.6), (x, 1.85), color=STATE)
    box(axes, x, 2.03, "W_y")
    line(axes, (x, 2.21), (x, 2.6))
    circle(axes, x, 2.75, "+")
    line(axes, (7.5, 2.75), (x + 0.15, 2.75))
    symbol(axes, 7.68, 2.75, "b_y")
    line(axes, (x, 2.9), (x, 3.25))
    symbol(axes, x, 3.4, "y")
    equations(axes, 0.35, 0.42, [
        ("h_t = tanh(W_x x_t + W_h h_{t-1} + b)", STATE), ("y   = W_y h_T + b_y", INK),
    ])  # fmt: skip
    return axes.figure


def lstm_cell():
    axes = sheet(8, 5.9)
    frame(axes, 1.05, 2.05, 5.95, 3.55, "LSTM, step t")
    top, gates, bus = 5.0, 3.15, 2.45
    columns = {"f": 1.85, "i": 2.95, "c": 4.05, "o": 5.3}
    # The memory: a line on which two things happen.
    line(axes, (0.75, top), (1.7, top), color=MEMORY, width=2.4)
    line(axes, (2.0, top), (3.9, top), color=MEMORY, width=2.4)
    line(axes, (4.2, top), (7.3, top), color=MEMORY, width=2.4)
    symbol(axes, 0.4, top, "c_{t-1}", MEMORY)
    symbol(axes, 7.55, top, "c_t", MEMORY)
    circle(axes, columns["f"], top, "*", MEMORY)
    circle(axes, columns["c"], top, "+", MEMORY)
    # State and input, side by side, go to every gate.
    line(axes, (0.75, bus), (columns["o"], bus), head=False, color=STATE)
    symbol(axes, 0.4, bus, "h_{t-1}", STATE)
    line(axes, (1.35, 1.85), (1.35, bus), head=False, color=INPUT)
    symbol(axes, 1.35, 1.7, "x_t", INPUT)
    dot(axes, 1.35, bus, INPUT)
    symbol(axes, 2.4, 2.25, "[h_{t-1}; x_t]", STATE)
    functions = {"f": "s", "i": "s", "c": "tanh", "o": "s"}
    for name, x in columns.items():
        color = MEMORY if name == "c" else GATE
        line(axes, (x, bus), (x, gates - 0.27), color=STATE)
        box(axes, x, gates, f"{functions[name]}\nW_{name} b_{name}", color, 0.86, 0.54)
        if name != "o":
            dot(axes, x, bus, STATE)
    line(axes, (columns["f"], gates + 0.27), (columns["f"], top - 0.15), color=GATE)
    symbol(axes, columns["f"] - 0.27, 3.75, "f_t", GATE)
    product = 4.2
    line(axes, (columns["i"], gates + 0.27), (columns["i"], product), (3.9, product), color=GATE)
    symbol(axes, columns["i"] - 0.27, 3.75, "i_t", GATE)
    line(axes, (columns["c"], gates + 0.27), (columns["c"], product - 0.15), color=MEMORY)
    symbol(axes, columns["c"] + 0.32, 3.75, "c~_t", MEMORY)
    circle(axes, columns["c"], product, "*")
    line(axes, (columns["c"], product + 0.15), (columns["c"], top - 0.15), color=MEMORY)
    # What is shown of the memory.
    shown = 6.3
    dot(axes, shown, top, MEMORY)
    line(axes, (shown, top), (shown, 4.48), color=MEMORY)
    box(axes, shown, 4.3, "tanh")
    line(axes, (shown, 4.12), (shown, 3.9))
    circle(axes, shown, 3.75, "*")
    line(axes, (columns["o"], gates + 0.27), (columns["o"], 3.75), (6.15, 3.75), color=GATE)
    symbol(axes, columns["o"] + 0.3, 3.92, "o_t", GATE)
    line(axes, (shown, 3.6), (shown, bus), (7.3, bus), color=STATE)
    symbol(axes, 7.55, bus, "h_t", STATE)
    label(axes, 6.65, 1.62, "s: sigmoid\n*: unit by unit", "#666666", ha="left")
    equations(axes, 0.35, 1.35, [
        ("f_t  = s(W_f [h_{t-1}; x_t] + b_f)      forget gate: what to keep", GATE),
        ("i_t  = s(W_i [h_{t-1}; x_t] + b_i)      input gate: what to write", GATE),
        ("o_t  = s(W_o [h_{t-1}; x_t] + b_o)      output gate: what to show", GATE),
        ("c~_t = tanh(W_c [h_{t-1}; x_t] + b_c)   candidate", MEMORY),
        ("c_t  = f_t * c_{t-1} + i_t * c~_t       the memory: a sum", MEMORY),
        ("h_t  = o_t * tanh(c_t)                  what other layers see", STATE),
    ])  # fmt: skip
    return axes.figure


def gru_cell():
    axes = sheet(8, 5.9)
    frame(axes, 1.05, 1.75, 6.0, 3.85, "GRU, step t")
    top, mix, x_bus, h_bus = 5.05, 4.45, 2.05, 2.4
    columns = {"z": 2.15, "r": 3.85, "n": 5.65}
    # The state: it stays as far as z_t is 1, and the candidate fills the rest.
    line(axes, (0.75, top), (2.0, top), color=STATE, width=2.4)
    line(axes, (2.3, top), (5.5, top), color=STATE, width=2.4)
    line(axes, (5.8, top), (7.35, top), color=STATE, width=2.4)
    symbol(axes, 0.4, top, "h_{t-1}", STATE)
    symbol(axes, 7.6, top, "h_t", STATE)
    circle(axes, columns["z"], top, "*", STATE)
    circle(axes, columns["n"], top, "+", STATE)
    dot(axes, 1.22, top, STATE)
    line(axes, (1.22, top), (1.22, h_bus), (columns["n"] - 0.45, h_bus), head=False, color=STATE)
    line(axes, (0.75, x_bus), (columns["n"] + 0.45, x_bus), head=False, color=INPUT)
    symbol(axes, 0.5, x_bus, "x_t", INPUT)
    for name, x in columns.items():
        color = STATE if name == "n" else GATE
        for side, bus, shade in ((-0.45, h_bus, STATE), (0.45, x_bus, INPUT)):
            line(axes, (x + side, bus), (x + side, 2.63), color=shade)
            if name != "n":
                dot(axes, x + side, bus, shade)
        box(axes, x - 0.45, 2.87, f"W_h{name}\nb_h{name}", width=0.7, height=0.48)
        box(axes, x + 0.45, 2.87, f"W_x{name}\nb_x{name}", width=0.7, height=0.48)
        function = "tanh" if name == "n" else "s"
        if name != "n":
            line(axes, (x - 0.45, 3.11), (x - 0.45, 3.4), (x - 0.15, 3.4))
        line(axes, (x + 0.45, 3.11), (x + 0.45, 3.4), (x + 0.15, 3.4))
        circle(axes, x, 3.4, "+")
        line(axes, (x, 3.55), (x, 3.7))
        box(axes, x, 3.88, function, color)
    # The update gate, and what is left of 1.
    z, n = columns["z"], columns["n"]
    line(axes, (z, 4.06), (z, top - 0.15), color=GATE)
    symbol(axes, z - 0.27, 4.3, "z_t", GATE)
    dot(axes, z, mix, GATE)
    line(axes, (z, mix), (4.4, mix), color=GATE)
    box(axes, 4.65, mix, "1 -", GATE, width=0.5, height=0.28)
    line(axes, (4.9, mix), (n - 0.15, mix), color=GATE)
    symbol(axes, 5.2, mix + 0.17, "1 - z_t", GATE, size=9)
    # The candidate, with as much of the past as r_t lets through.
    line(axes, (n - 0.45, 3.11), (n - 0.45, 3.25))
    circle(axes, n - 0.45, 3.4, "*")
    line(axes, (n - 0.3, 3.4), (n - 0.15, 3.4))
    r = columns["r"]
    line(axes, (r + 0.31, 3.88), (n - 0.45, 3.88), (n - 0.45, 3.55), color=GATE)
    symbol(axes, r + 0.6, 4.04, "r_t", GATE)
    line(axes, (n, 4.06), (n, mix - 0.15), color=STATE)
    symbol(axes, n + 0.24, 4.19, "n_t", STATE)
    circle(axes, n, mix, "*")
    line(axes, (n, mix + 0.15), (n, top - 0.15), color=STATE)
    label(axes, 6.65, 1.4, "s: sigmoid\n*: unit by unit", "#666666", ha="left")
    equations(axes, 0.35, 1.2, [
        ("r_t = s(W_xr x_t + b_xr + W_hr h_{t-1} + b_hr)              reset", GATE),
        ("z_t = s(W_xz x_t + b_xz + W_hz h_{t-1} + b_hz)              update", GATE),
        ("n_t = tanh(W_xn x_t + b_xn + r_t * (W_hn h_{t-1} + b_hn))   candidate", STATE),
        ("h_t = (1 - z_t) * n_t + z_t * h_{t-1}                       the new state", STATE),
    ], gap=0.23)  # fmt: skip
    return axes.figure


# ---- Networks ----------------------------------------------------------------------
def bidirectional():
    axes = sheet(8, 4.3)
    names = ["1", "t-1", "t", "t+1", "T"]
    for column, t in enumerate(names):
        x = 1.3 + 1.45 * column
        index = f"{{{t}}}" if len(t) > 1 else t
        symbol(axes, x + 0.07, 0.4, f"x_{index}", INPUT)
        line(axes, (x - 0.15, 0.55), (x - 0.15, 1.17), color=INPUT)
        line(axes, (x + 0.3, 0.55), (x + 0.3, 2.17), color=INPUT)
        box(axes, x - 0.15, 1.35, "LSTM_f", STATE)
        box(axes, x + 0.15, 2.35, "LSTM_b", GATE)
        line(axes, (x - 0.3, 1.53), (x - 0.3, 3.12), color=STATE)
        line(axes, (x + 0.3, 2.53), (x + 0.3, 3.12), color=GATE)
        box(axes, x, 3.3, f"h_{index}", INK, width=0.9)
        symbol(axes, x - 0.36, 1.9, f"h_{index}^f", STATE, 9, ha="right")
        symbol(axes, x + 0.36, 2.83, f"h_{index}^b", GATE, 9, ha="left")
        if column:
            dashed = column in (1, 4)  # steps are left out here
            line(axes, (x - 1.29, 1.35), (x - 0.46, 1.35), color=STATE, dashed=dashed)
            line(axes, (x - 0.16, 2.35), (x - 0.99, 2.35), color=GATE, dashed=dashed)
    label(axes, 4.2, 3.95, "h_t = [h_t^f; h_t^b]: both states side by side", family="monospace",
          gid="equation")  # fmt: skip
    label(axes, 0.47, 1.35, "reads\nforward", STATE)
    label(axes, 0.47, 2.35, "reads\nbackward", GATE)
    return axes.figure


def encoder_decoder():
    axes = sheet(8, 3.9)
    y = 1.6
    label(axes, 1.75, 3.62, "encoder: reads the source", STATE, weight="bold")
    label(axes, 6.05, 3.62, "decoder: writes the target", MEMORY, weight="bold")
    symbol(axes, 0.42, y, "h_0\nc_0", STATE)
    for s, token in enumerate("314", start=1):
        x = 0.25 + 0.98 * s
        line(axes, (x - 0.98 + (0.35 if s > 1 else 0.36), y), (x - 0.35, y), color=STATE)
        line(axes, (x, 0.8), (x, y - 0.33), color=INPUT)
        box(axes, x, y, f"LSTM_enc\nh_{s}\nc_{s}", STATE, width=0.7, height=0.66, size=9)
        symbol(axes, x, 0.6, f'x_{s}\n"{token}"', INPUT, size=9.5)
    # All that the decoder gets.
    line(axes, (3.54, y), (3.8, y), color=STATE)
    box(axes, 4.05, y, "h_S\nc_S", MEMORY, width=0.5, height=0.9, size=11)
    label(axes, 3.3, 2.35, "the one vector:\nall that the decoder gets", MEMORY, weight="bold")
    symbol(axes, 4.05, 0.87, "d_0 = h_S\ne_0 = c_S", MEMORY, size=9)
    line(axes, (4.3, y), (4.55, y), color=MEMORY)
    tokens = ["<bos>", '"4"', '"1"', '"3"', "<eos>"]
    for t, (read, written) in enumerate(zip(tokens, tokens[1:]), start=1):
        x = 4.9 + 0.87 * (t - 1)
        if t > 1:
            line(axes, (x - 0.53, y), (x - 0.34, y), color=MEMORY)
        line(axes, (x, 0.8), (x, y - 0.33), color=INPUT)
        box(axes, x, y, f"LSTM_dec\nd_{t}\ne_{t}", MEMORY, width=0.68, height=0.66, size=9)
        line(axes, (x, y + 0.33), (x, 2.93))
        symbol(axes, x, 0.6, f"y_{t - 1}\n{read}", INPUT, size=9.5)
        symbol(axes, x, 3.15, f"y_{t}\n{written}", size=9.5)
    label(axes, 4, 0.2, "y_t: the likeliest token of softmax(W d_t + b). It is the next input.")
    return axes.figure


def attention():
    axes = sheet(8, 5.6)
    keys, scores, softmax, weights, mean, values = 0.75, 1.7, 2.4, 2.85, 3.85, 4.85
    columns = [2.2, 3.1, 4.0, 4.9]
    for y, text, color in [
        (keys, "keys k_s:\nthe encoder's\noutputs h_s", STATE), (scores, "score(d_t, h_s)", INK),
        (weights + 0.25, "weights a_ts:\nthey add up to 1", GATE),
        (values, "values v_s:\nthe same h_s", STATE),
    ]:  # fmt: skip
        label(axes, 0.2, y, text, color, ha="left")
    # The query visits every key.
    line(axes, (6.75, scores), (columns[-1] + 0.33, scores), color=MEMORY)
    for s, (x, weight) in enumerate(zip(columns, [0.1, 0.7, 0.15, 0.05]), start=1):
        if s < 4:
            line(axes, (x + 0.57, scores), (x + 0.33, scores), color=MEMORY)
        box(axes, x, keys, f"h_{s}", STATE)
        line(axes, (x, keys + 0.18), (x, scores - 0.17), color=STATE)
        box(axes, x, scores, "score", width=0.66, height=0.34)
        line(axes, (x, scores + 0.17), (x, softmax - 0.15))
        line(axes, (x, softmax + 0.15), (x, weights - 0.02))
        axes.bar(x, 0.6 * weight, 0.24, weights, color=GATE, zorder=3)
        symbol(axes, x + 0.36, weights + 0.1, f"a_t{s}", GATE)
        line(axes, (x, weights + 0.6 * weight + 0.04), (x, mean - 0.2), color=GATE)
        box(axes, x, values, f"h_{s}", STATE)
        line(axes, (x, values - 0.18), (x, mean + 0.2), color=STATE)
    box(axes, 3.55, softmax, "softmax", width=3.5, height=0.3)
    box(axes, 3.55, mean, "sum over s of a_ts v_s", STATE, width=3.5, height=0.4)
    # The decoder.
    x = 7.1
    symbol(axes, x, 0.6, "y_{t-1}", INPUT)
    line(axes, (x, 0.75), (x, scores - 0.3), color=INPUT)
    box(axes, x, scores, "LSTM\nd_t", MEMORY, width=0.7, height=0.6)
    symbol(axes, 6.1, scores + 0.18, "query q = d_t", MEMORY, size=9)
    line(axes, (x, scores + 0.3), (x, mean - 0.27), color=MEMORY)
    line(axes, (5.3, mean), (x - 0.43, mean), color=STATE)
    symbol(axes, 5.98, mean + 0.18, "context_t", STATE)
    symbol(axes, 6.3, 3.35, "[d_t ; context_t]", size=9)
    box(axes, x, mean, "tanh\nW_c b_c", width=0.86, height=0.54)
    line(axes, (x, mean + 0.27), (x, values - 0.27))
    symbol(axes, x + 0.25, 4.35, "f_t")
    box(axes, x, values, "softmax\nW_o b_o", width=0.86, height=0.54)
    line(axes, (x, values + 0.27), (x, 5.27))
    symbol(axes, x, 5.4, "p(y_t | ...)")
    return axes.figure


# ---- Batches -----------------------------------------------------------------------
def truncated_bptt():
    axes = sheet(8, 3.9)
    streams = [["First ", "Citize", "n: Bef"], ["is rat", "her to", " have "]]
    starts = [1.05, 3.4, 5.75]
    for number, x in enumerate(starts, start=1):
        label(axes, x + 0.9, 3.65, f"chunk {number}: T = 6 symbols", weight="bold")
        label(axes, x + 0.9, 0.62, f"loss {number}, backward(),\none update of the weights")
    for row, chunks in enumerate(streams):
        y = 3.0 - 1.3 * row
        label(axes, 0.5, y, f"stream {row + 1}", weight="bold")
        label(axes, 0.5, y - 0.25, "starts from\nzeros", "#666666", 9, va="top")
        for x, text in zip(starts, chunks):
            visible = text.replace(" ", "\u2423")
            cells(axes, x, y - 0.15, visible, [SOFT[INPUT]] * 6)
            line(axes, (x + 1.75, y - 0.35), (x + 0.05, y - 0.35), color=MEMORY, dashed=True)
            line(axes, (x + 1.83, y), (x + 2.32 if x < 5 else x + 2.12, y), color=STATE)
        for x in starts[:2]:
            symbol(axes, x + 2.07, y + 0.2, "h, c", STATE, bbox=UNDER)
    for x in starts[:2]:
        axes.plot([x + 2.07] * 2, [0.95, 2.8], color=MEMORY, lw=1.2, ls=":", zorder=2)
        label(axes, x + 2.07, 2.17, "detach()", MEMORY, bbox=UNDER)
    line(axes, (0.35, 0.2), (0.75, 0.2), color=STATE)
    label(axes, 0.85, 0.2, "the state goes on through the whole stream", STATE, ha="left")
    line(axes, (4.75, 0.2), (4.35, 0.2), color=MEMORY, dashed=True)
    label(axes, 4.85, 0.2, "the gradient stops at the border of the chunk", MEMORY, ha="left")
    return axes.figure


def padding():
    axes = sheet(8, 5.0)
    grey, blue = "#DDDDDD", "#A9CCE6"
    label(axes, 0.3, 4.75, "Padding and mask", weight="bold", ha="left")
    names = ["abe", "novak", "chen"]
    width = max(len(name) for name in names)
    for row, name in enumerate(names):
        y = 3.95 - 0.32 * row
        missing = width - len(name)
        symbol(axes, 1.1, y + 0.15, name, ha="right")
        colors = [blue] * len(name) + [grey] * missing
        cells(axes, 1.4, y, [*name, *["0"] * missing], colors)
        symbol(axes, 3.55, y + 0.15, str(len(name)))
        cells(axes, 4.4, y, ["T"] * len(name) + ["F"] * missing, colors)
    for x, text in [(2.15, "inputs (B, T)"), (3.55, "lengths (B,)"), (5.15, "mask (B, T)")]:
        symbol(axes, x, 4.43, text, size=9.5)
    label(axes, 6.05, 3.77, "0: padding, as an index\nT, F: True, False\nWhere the mask is F,\n"
          "nothing may count.", ha="left", linespacing=1.4)  # fmt: skip
    axes.plot([0.3, 7.7], [3.0, 3.0], color="#BBBBBB", lw=1)
    label(axes, 0.3, 2.75, "Buckets: 12 texts in batches of 4", weight="bold", ha="left")
    shuffled = [3, 9, 2, 7, 8, 2, 5, 3, 9, 4, 2, 6]
    for x, lengths, text in [
        (1.1, shuffled, "in random order"), (4.9, sorted(shuffled), "by length"),
    ]:  # fmt: skip
        total = 0
        for row in range(12):
            batch = row // 4
            longest = max(lengths[4 * batch : 4 * batch + 4])
            total += longest
            y = 2.2 - 0.13 * row - 0.12 * batch
            step = 0.28
            axes.barh(y, step * longest, 0.1, x, color=grey, zorder=2)
            axes.barh(y, step * lengths[row], 0.1, x, color=STATE, zorder=3)
            if row % 4 == 1:
                label(axes, x - 0.12, y - 0.06, f"batch {batch + 1}", ha="right")
        share = (total - sum(lengths)) / total
        label(axes, x, 2.47, f"{text}: {share:.0%} padding", ha="left")
    label(axes, 4, 0.15, "blue: symbols of a text; grey: padding up to the longest of its batch")
    return axes.figure


DIAGRAMS = (
    rnn_unrolled, vanilla_cell, lstm_cell, gru_cell, bidirectional, encoder_decoder, attention,
    truncated_bptt, padding,
)  # fmt: skip


def draw(folder) -> None:
    """Write every diagram into the folder, as NAME.svg and NAME.png."""
    plt = ru.get_pyplot()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    # Text stays text in the SVG, and the same drawing gives the same file.
    settings = {"svg.fonttype": "none", "svg.hashsalt": "rnn"}
    settings["figure.constrained_layout.use"] = False
    with plt.rc_context(settings):
        for diagram in DIAGRAMS:
            figure = diagram()
            path = folder / diagram.__name__
            figure.savefig(f"{path}.svg", transparent=True, metadata={"Date": None})
            figure.savefig(f"{path}.png", transparent=True, dpi=160)


if __name__ == "__main__":
    draw(sys.argv[1] if len(sys.argv) > 1 else FOLDER)
