"""The live pages: the JavaScript answers as PyTorch does, and the pages work in a browser.

The weights on the page are read back into the chapters' own models, so both sides compute with
the same 16-bit numbers.  What needs node, or Chromium and Playwright (`pip install playwright`), is
skipped where these are missing.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import re
import shutil
import subprocess

import pytest
import torch
from helpers import ROOT, load_script

import rnn_data as rd
import rnn_pairs as rp
import rnn_utils as ru

spec = importlib.util.spec_from_file_location("export_models", ROOT / "docs" / "export_models.py")
export = importlib.util.module_from_spec(spec)
spec.loader.exec_module(export)

LIVE = ROOT / "docs" / "live"
PAGES = [page for page, _, _ in export.PAGES]
NAMES = [
    "Trampotova", "Müller", "O'Brien", "Nguyen", "Yamamoto", "Dostoevsky", "Schmidt", "Rossi",
    "Garcia", "Silva", "Papadopoulos", "Kowalski", "Wang", "Kim", "Sato", "MacDonald", "Haddad",
    "Dubois", "van-der-Berg", "Łukasz",
]  # fmt: skip
PROMPTS = [
    "ROMEO:", "To be, or not to be", "KING RICHARD III:\n", "First Citizen:\nBefore we", "O",
    "what", "the king", "\nJULIET:", "A horse! a horse!", "my lord,", "and", "I am", "thou art ",
    "3 KING", "Exeunt", "zzz", "é", "good night", "Q", "Now ",
]  # fmt: skip
node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@pytest.fixture(scope="module")
def models():
    """{page: (its model in PyTorch, the contents of its file)}, with the weights of the file."""
    classes = {
        "names": load_script("04_simple_rnn").NameClassifier,
        "dates": load_script("09_attention_mechanism").Seq2Seq,
        "shakespeare": load_script("10_text_generation").LanguageModel,
    }
    found = {}
    for page, model_class in classes.items():
        contents, weights = export.read_model(LIVE / "models" / f"{page}_weights.js")
        model = model_class(**contents["sizes"])
        model.load_state_dict(weights)
        found[page] = (model.eval(), contents)
    return found


def in_node(page: str, expression: str, given):
    """The value of a JavaScript expression about `given` and the page's `net`."""
    files = ["rnn.js", f"{page}.js", f"models/{page}_weights.js"]
    program = (
        "const fs = require('fs'), vm = require('vm');"
        f"for (const file of {json.dumps(files)})"
        f" vm.runInThisContext(fs.readFileSync({json.dumps(str(LIVE))} + '/' + file, 'utf8'));"
        "globalThis.given = JSON.parse(fs.readFileSync(0, 'utf8'));"
        f"const code = 'const net = open{page.capitalize()}(LIVE_MODELS.{page});'"
        f" + {json.dumps(expression)};"
        "process.stdout.write(JSON.stringify(vm.runInThisContext(code)));"
    )
    completed = subprocess.run(
        ["node", "-e", program],
        input=json.dumps(given),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert completed.returncode == 0, completed.stderr
    return json.loads(completed.stdout)


def largest_difference(mine, theirs: torch.Tensor) -> float:
    return float((torch.tensor(mine) - theirs).abs().max())


# ---- The answers are PyTorch's -----------------------------------------------------
@node
def test_names_are_folded_as_the_chapter_folds_them():
    texts = [chr(code) for code in [*range(32, 0x250), 0x1E9E, 0x2019, 0x1F600]]
    texts += [*NAMES, "  Van  der\tBerg ", "İSTANBUL", "ŒUVRE-d’or", "王", ""]
    expression = "given.map(foldToAscii)"
    assert in_node("names", expression, texts) == [rd.fold_to_ascii(text) for text in texts]


@node
def test_names_after_every_letter(models):
    model, contents = models["names"]
    names = [rd.fold_to_ascii(name) for name in NAMES]
    assert len(set(names)) == 20
    expression = (
        "given.map((name) => readName(net, name).map((s) => [[...s.state], s.probabilities]))"
    )
    read = load_script("04_simple_rnn").read_letter_by_letter
    for name, steps in zip(names, in_node("names", expression, names)):
        states, probabilities = read(model, ru.Vocab(contents["vocab"]), name)
        assert largest_difference([step[0] for step in steps], states) < 1e-3, name
        assert largest_difference([step[1] for step in steps], probabilities) < 1e-2, name


@node
def test_dates_character_by_character(models):
    model, contents = models["dates"]
    script = load_script("09_attention_mechanism")
    vocabs = [ru.Vocab(tokens) for tokens in contents["vocabs"]]
    texts = [source for source, _ in rd.date_pairs(17)] + ["31 june 1999", "é?", "  7th\tJune  '62"]
    expression = (
        "given.map((text) => answerDate(net, dateCharacters(text))"
        ".map((row) => [row.token, row.weights, row.probabilities]))"
    )
    answers = in_node("dates", expression, texts)
    right = 0
    for text, rows in zip(texts, answers):
        source = rp.tokenise(text, "characters")
        split = rp.encode_sources([source], vocabs, "cpu")
        decode = functools.partial(script.beam_search, model, max_length=60)
        (output,), _ = rp.answer(decode, split, vocabs[1])
        written = [token for token, _, _ in rows]
        assert written == [*output, "<eos>"], text
        weights = script.alignment(model, vocabs, source, output)
        assert largest_difference([row[1] for row in rows], weights) < 1e-2, text
        pair = rp.encode_pairs([(source, output)], vocabs[0], vocabs[1])
        with torch.no_grad():
            logits = model(pair.sources, pair.source_lengths, pair.targets)
        assert largest_difference([row[2] for row in rows], logits.softmax(dim=1)) < 1e-2, text
        right += "".join(output) == dict(rd.date_pairs(17)).get(text)
    assert right == 17  # the exported network can do it


@node
def test_shakespeare_after_twenty_prompts(models):
    model, contents = models["shakespeare"]
    script = load_script("10_text_generation")
    vocab = ru.Vocab(contents["vocab"])
    assert len(set(PROMPTS)) == 20
    expression = "given.map((prompt) => softmax(readPrompt(net, encodePrompt(net, prompt)).logits))"
    for prompt, found in zip(PROMPTS, in_node("shakespeare", expression, PROMPTS)):
        with torch.no_grad():
            logits, _ = model(torch.tensor([script.encode_prompt(prompt, vocab, "char")]))
        assert largest_difference(found, logits[0, -1].softmax(dim=0)) < 1e-2, prompt


@node
def test_shakespeare_writes_the_same_greedy_text(models):
    model, contents = models["shakespeare"]
    script = load_script("10_text_generation")
    vocab = ru.Vocab(contents["vocab"])
    prompts = ["ROMEO:", "", "é"]
    expression = (
        "given.map((prompt) => { const next = startWriting(net, prompt, 0);"
        " return Array.from({length: 200}, () => next(0, 0, 1)).join(''); })"
    )
    for prompt, text in zip(prompts, in_node("shakespeare", expression, prompts)):
        start = script.encode_prompt(prompt, vocab, "char")
        assert text == "".join(script.generate(model, vocab, start, 200, 0, temperature=0)), prompt


@node
def test_temperature_then_top_k_then_top_p():
    script = load_script("10_text_generation")
    torch.manual_seed(0)
    cases = []
    for temperature, top_k, top_p in itertools.product((0, 0.3, 1.0, 1.5), (0, 1, 5, 99), (1, 0.5)):
        logits = 3 * torch.randn(30)
        cases.append([logits.tolist(), temperature, top_k, top_p])
    found = in_node("shakespeare", "given.map((c) => nextProbabilities(...c))", cases)
    for (logits, temperature, top_k, top_p), mine in zip(cases, found):
        theirs = script.next_probabilities(torch.tensor(logits), temperature, top_k, top_p)
        assert largest_difference(mine, theirs) < 1e-4, (temperature, top_k, top_p)
        assert sum(mine) == pytest.approx(1)


@node
def test_draws_follow_the_probabilities_and_repeat_with_the_seed():
    expression = (
        "given.map((seed) => { const random = randomNumbers(seed);"
        " return Array.from({length: 3000}, () => draw([0.5, 0, 0.2, 0.3], random)); })"
    )
    first, again, other = in_node("shakespeare", expression, [1, 1, 2])
    assert first == again != other
    for index, share in enumerate([0.5, 0, 0.2, 0.3]):
        assert first.count(index) / 3000 == pytest.approx(share, abs=0.03)
    assert first.count(1) == 0


@node
def test_the_unknown_character_is_never_written():
    expression = (
        "net.b[UNKNOWN] = 100, given.map((temperature) => {"
        " const next = startWriting(net, 'O', 0);"
        " return Array.from({length: 20}, () => next(temperature, 0, 1)); })"
    )
    for symbols in in_node("shakespeare", expression, [0, 1]):
        assert len(symbols) == 20 and "<unk>" not in symbols


# ---- The files ---------------------------------------------------------------------
def test_the_models_fit_and_name_their_run():
    files = sorted((LIVE / "models").iterdir())
    assert [file.name for file in files] == sorted(f"{page}_weights.js" for page in PAGES)
    assert sum(file.stat().st_size for file in files) <= 4_000_000
    for page, chapter, (dataset, _) in export.PAGES:
        contents, _ = export.read_model(LIVE / "models" / f"{page}_weights.js")
        record = contents["record"]
        assert record["chapter"] == f"{chapter}.py" and record["data"] == dataset
        assert record["test"] and record["torch"] and record["flags"]["seed"] == 0
        assert "/" not in json.dumps(record), "a path of some machine"


def test_nothing_comes_from_another_host():
    for path in [*LIVE.glob("*.html"), *LIVE.glob("*.css"), *LIVE.glob("*.js")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://|//\w+\.\w+/|@import|\bfetch\(|XMLHttpRequest", text), path
        for target in re.findall(r'(?:src|href)="([^"]+)"', text):
            if not target.startswith(("../chapters/", "../index.html", "data:,")):
                assert (LIVE / target).is_file(), f"{path.name}: {target}"
    for page, chapter, _ in export.PAGES:
        text = (LIVE / f"{page}.html").read_text(encoding="utf-8")
        assert f'href="../chapters/{chapter}.html"' in text
        assert 'href="../index.html"' in text


def test_a_model_that_is_written_can_be_read(tmp_path):
    weights = {"a.weight": torch.tensor([[1.5, -2.0], [0.1, 6e-8]]), "a.bias": torch.tensor([3.0])}
    path = export.write_model("names", {"data": "names"}, {"sizes": {"n": 1}}, weights, tmp_path)
    contents, read = export.read_model(path)
    assert contents["sizes"] == {"n": 1}
    for name, tensor in weights.items():
        assert torch.equal(read[name], tensor.half().float())


def test_a_model_of_other_data_is_refused():
    about = {"config": {"data": "private.csv"}}
    with pytest.raises(ru.UserError, match="of names only"):
        export.describe("04_simple_rnn", ("names", "MIT"), about, {"epoch": 1}, {})
    metrics = {"dataset": "names", "embedded": True, "best_epoch": 1}
    with pytest.raises(ru.UserError, match="learned from"):
        export.describe("04_simple_rnn", ("names", "MIT"), {"config": {}}, {"epoch": 1}, metrics)


# ---- The pages in a browser --------------------------------------------------------
@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("Chromium is not installed")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=flags)
        yield chromium
        chromium.close()


@pytest.fixture(params=[(1280, "light"), (390, "dark")], ids=["wide", "narrow"])
def visit(browser, request):
    """A function that opens a page; at the end, no error and no foreign request may be there."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    troubles = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))

    def check(asked):
        if not asked.url.startswith(("file:", "data:")):
            troubles.append(asked.url)

    page.on("request", check)

    def open_page(name: str):
        page.goto((LIVE / f"{name}.html").as_uri())
        return page

    yield open_page
    overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    context.close()
    assert troubles == []
    assert overflow <= 0


def tab_to(page, name: str) -> None:
    """Press Tab until the element of this id has the focus; it must then be marked as such."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == name:
            style = "getComputedStyle(document.activeElement).outlineStyle"
            assert page.evaluate(style) != "none"
            return
    raise AssertionError(f"Tab does not reach {name}")


def test_names_in_the_browser_by_keyboard(visit, models):
    page = visit("names")
    tab_to(page, "name")
    page.keyboard.press("Control+a")
    page.keyboard.type("Müller")
    assert page.inner_text("#folded").endswith("muller")
    assert page.locator("#letters li").count() == len("muller")
    model, contents = models["names"]
    read = load_script("04_simple_rnn").read_letter_by_letter
    _, probabilities = read(model, ru.Vocab(contents["vocab"]), "muller")

    def bars():
        return [
            float(text.rstrip(" %")) / 100
            for text in page.locator("#bars .value").all_inner_texts()
        ]

    assert largest_difference(bars(), probabilities[-1]) < 1e-2
    # Further Tabs lead to the rows, and Enter chooses one.
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText.startsWith('mul')"):
            break
    page.keyboard.press("Enter")
    assert page.inner_text("#heading").endswith('"mul"')
    assert largest_difference(bars(), probabilities[2]) < 1e-2
    assert page.locator('canvas[aria-label^="state of 256"]').count() == 6
    page.fill("#name", "123")
    assert "write it in Latin letters" in page.inner_text("#folded")
    page.fill("#name", " ")
    assert page.inner_text("#folded") == "Type a surname."
    page.fill("#name", "o" * 24)
    assert page.inner_text("#folded").endswith("o" * 24)
    page.fill("#name", "o" * 25)
    assert page.inner_text("#folded").endswith(" " + "o" * 24 + " (the first 24 letters)")
    assert page.locator("#letters li").count() == 24


def test_all_languages_are_visible_at_once(visit):
    page = visit("names")
    last = page.locator("#bars li").last
    assert page.locator("#bars li").count() == 18
    if page.viewport_size["width"] > 1000:  # beside the letters
        box = last.bounding_box()
        assert box["y"] + box["height"] < 800


def test_dates_in_the_browser_by_keyboard(visit):
    page = visit("dates")
    tab_to(page, "date")
    page.keyboard.press("Control+a")
    page.keyboard.type("12 May 1987é")
    page.wait_for_function(
        "document.getElementById('summary').textContent.includes(' is 1987-05-12')"
    )
    assert page.inner_text("#unknown") == "Read as <unk>, never seen in training: é"
    rows = page.locator("#attention tr[aria-label]")
    assert rows.count() == 11  # ten characters and the end
    weights = "[...row.querySelectorAll('td')].map((cell) => Number(cell.title))"
    weights = rows.evaluate_all(f"(rows) => rows.map((row) => {weights})")
    totals = [sum(row) for row in weights]
    assert totals == pytest.approx([1] * 11, abs=0.02)
    tab_to(page, "step")
    page.keyboard.press("Enter")
    assert page.inner_text("#answer") == "1"


def test_shakespeare_in_the_browser_by_keyboard(visit):
    page = visit("shakespeare")
    tab_to(page, "prompt")
    page.keyboard.press("Control+a")
    page.keyboard.type("JULIET:é")
    assert page.inner_text("#unknown") == "Read as <unk>, never seen in training: é"
    assert page.inner_text("#text") == "JULIET:\ufffd"
    tab_to(page, "temperature")
    page.keyboard.press("Home")
    assert page.inner_text("#temperature-value") == "0: always the likeliest"
    assert page.locator("#next .value").first.inner_text().endswith("100 %")
    page.keyboard.press("End")
    tab_to(page, "top-k")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#top-k-value") == "1"
    tab_to(page, "write")
    page.keyboard.press("Enter")
    page.wait_for_function("document.getElementById('status').textContent", timeout=25_000)
    said = page.inner_text("#status")
    written, rate = re.match(r"(\d+) characters written, (\d+) a second", said).groups()
    assert int(written) == 500
    assert int(rate) >= 30, said
    assert len(page.evaluate("element('text').textContent")) == 500 + len("JULIET:é")


@pytest.mark.parametrize("name", PAGES)
def test_each_page_shows_the_code_that_runs_and_the_run(visit, name):
    page = visit(name)
    step = {"names": "rnnStep", "dates": "attentionStep", "shakespeare": "characterStep"}[name]
    shown = page.locator("#code pre").first.inner_text()
    assert shown == page.evaluate(f"{step}.toString()")
    assert "epochs" in page.inner_text("#record") and "2." in page.inner_text("#record")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('input, textarea')].filter(e => !e.labels.length).length"
    )
    assert unnamed == 0
