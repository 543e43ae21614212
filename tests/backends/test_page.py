"""The page for the browser, in a real Chromium: what it shows, how it opens, and that nothing on it can run."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

import archspec
from archspec.analyses.diagram import diagram, stages_open
from archspec.analyses.summary import Summary
from archspec.graph import Graph, Ref

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NETS = ["resnet50", "nasnet_a_large", "swin_t"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        if "CI" in os.environ:
            pytest.fail("Chromium is not installed")
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test when it asks for anything but itself, or anything on it goes wrong."""
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.set_default_timeout(600_000)  # a slow machine fails no test
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: None if r.url.startswith("file:") else wrong.append(r.url))
    page.on("dialog", lambda dialog: (wrong.append(dialog.message), dialog.dismiss()))
    yield page
    page.close()
    assert wrong == []


def show(page: Page, graph: Graph, folder: Path, **options: str) -> None:
    path = folder / "net.html"
    archspec.draw(graph, **options).save(path)  # type: ignore[arg-type]
    page.goto(path.as_uri())


def boxes(page: Page) -> int:
    return page.locator(".box").count()


def model_of(text: str) -> dict[str, list[dict[str, object]]]:
    found = re.search(r'<script id="model" type="application/json">(.*?)</script>', text, re.S)
    assert found
    model: dict[str, list[dict[str, object]]] = json.loads(found[1])
    return model


@pytest.mark.parametrize("name", NETS)
def test_the_page_shows_the_overview_and_opens_whole(name: str, page: Page, tmp_path: Path) -> None:
    graph = archspec.read(name)
    show(page, graph, tmp_path)
    closed = len(list(diagram(Summary(graph), stages_open, shapes=False, frames="all").closed))
    ends = len(graph.inputs) + len(graph.outputs)
    assert page.locator(".box:not(.open)").count() >= closed + ends
    page.click("#open-all")
    all_of_them = len(model_of((tmp_path / "net.html").read_text(encoding="utf-8"))["boxes"])
    assert boxes(page) == all_of_them
    assert page.locator(".has-parts:not(.open)").count() == 0
    page.click("#close-all")
    assert page.locator(".box.open").count() == 0


def test_every_node_is_on_the_page_or_folded() -> None:
    graph = archspec.read("googlenet")
    model = model_of(archspec.draw(graph).render("html").decode())
    written = [line for box in model["boxes"] if not box.get("block") for line in box["written"]]  # type: ignore[attr-defined]
    assert len(written) == len(graph.nodes)  # GoogLeNet repeats no module


def test_a_click_opens_a_block_and_another_closes_it(page: Page, tmp_path: Path) -> None:
    show(page, archspec.read("resnet50"), tmp_path)
    before = boxes(page)
    block = page.get_by_role("treeitem", name="layer1.0: Bottleneck")
    assert block.get_attribute("aria-expanded") == "false"
    block.click()
    # Three convolutions with what follows them, the projection, the sum and the last activation.
    assert boxes(page) == before + 6
    assert block.get_attribute("aria-expanded") == "true"
    block.click(position={"x": 10, "y": 10})
    assert boxes(page) == before


def test_a_block_stays_where_it_is_when_it_opens(page: Page, tmp_path: Path) -> None:
    show(page, archspec.read("resnet50"), tmp_path)
    block = page.get_by_role("treeitem", name="layer2.0: Bottleneck")
    before = block.bounding_box()
    block.click()
    after = block.bounding_box()
    assert before and after
    assert after["y"] == pytest.approx(before["y"], abs=2)
    assert after["x"] + after["width"] / 2 == pytest.approx(before["x"] + before["width"] / 2, abs=2)


def test_boxes_do_not_overlap(page: Page, tmp_path: Path) -> None:
    show(page, archspec.read("googlenet"), tmp_path)
    page.click("#open-all")
    rectangles = page.evaluate(
        "[...document.querySelectorAll('.box:not(.open)')].map(b => b.getBBox()).map(r => [r.x, r.y, r.width, r.height])"
    )
    for i, (x, y, w, h) in enumerate(rectangles):
        for u, v, wide, high in rectangles[i + 1 :]:
            assert x + w <= u + 1 or u + wide <= x + 1 or y + h <= v + 1 or v + high <= y + 1


def test_the_keyboard_does_all_of_it(page: Page, tmp_path: Path) -> None:
    show(page, archspec.read("resnet50"), tmp_path)
    page.locator(".box[tabindex='0']").focus()
    names = []
    for _ in range(5):
        page.keyboard.press("ArrowDown")
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label').split(':')[0]"))
    assert names == ["conv1", "max_pool", "layer1", "layer1.0", "layer1.1"]
    page.keyboard.press("ArrowUp")
    before = boxes(page)
    page.keyboard.press("Enter")
    assert boxes(page) == before + 6
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')").startswith("layer1.0.")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press(" ")
    assert boxes(page) == before
    page.keyboard.press("0")
    zoomed = page.locator("#view").get_attribute("transform")
    page.keyboard.press("+")
    assert page.locator("#view").get_attribute("transform") != zoomed
    page.keyboard.press("0")
    assert page.locator("#view").get_attribute("transform") == zoomed
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"


def test_search_finds_what_is_deep_inside(page: Page, tmp_path: Path) -> None:
    show(page, archspec.read("swin_t"), tmp_path)
    page.keyboard.press("/")
    page.keyboard.type("roll")
    assert page.locator("#matches button").count() >= 2
    page.keyboard.press("Enter")
    assert page.locator(".box.found").count() >= 1
    assert "Roll" in (page.locator("#details").text_content() or "")
    page.fill("#search", "no such thing")
    assert page.locator("#matches").text_content() == "nothing found"
    page.keyboard.press("Escape")
    assert not page.locator("#matches").is_visible()


def test_the_details_are_those_of_the_graph(page: Page, tmp_path: Path) -> None:
    graph = archspec.read("resnet50")
    show(page, graph, tmp_path)
    page.get_by_role("treeitem", name="fc: Linear").hover()
    details = page.locator("#details").text_content() or ""
    assert "2,049,000 (8.0%)" in details  # 2048 * 1000 + 1000 of 25,557,032
    assert "Linear(1000)" in details
    assert "families/resnet.arch" in details
    assert '"{last}": Classifier(classes)' in details  # the line of the spec


def test_boxes_are_shaded_by_cost(page: Page, tmp_path: Path) -> None:
    show(page, archspec.read("resnet50"), tmp_path)
    fill = "getComputedStyle(document.querySelector('[aria-label^=\"layer4.1\"] rect')).fill"
    before = page.evaluate(fill)
    page.select_option("#shade", "params")
    assert page.evaluate(fill) != before


def test_light_and_dark_follow_the_reader_and_can_be_switched(page: Page, tmp_path: Path) -> None:
    show(page, archspec.read("resnet18"), tmp_path)
    paper = "getComputedStyle(document.body).backgroundColor"
    page.emulate_media(color_scheme="light")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(paper) == "rgb(22, 25, 29)"
    page.click("#theme")
    assert page.evaluate(paper) == "rgb(255, 255, 255)"


def test_dragging_moves_and_opens_nothing(page: Page, tmp_path: Path) -> None:
    show(page, archspec.read("resnet50"), tmp_path)
    before, seen = page.locator("#view").get_attribute("transform"), boxes(page)
    place = page.get_by_role("treeitem", name="layer1.0: Bottleneck").bounding_box()
    assert place
    page.mouse.move(place["x"] + 20, place["y"] + 10)
    page.mouse.down()
    page.mouse.move(place["x"] + 120, place["y"] + 60, steps=4)
    page.mouse.up()
    assert page.locator("#view").get_attribute("transform") != before
    assert boxes(page) == seen


@pytest.mark.parametrize(
    "text",
    [
        "</script><script>alert(1)</script>",
        '<img src=x onerror=alert(1)>"',
        "a&b'`${alert(1)}`",
        "$model\u2028",
    ],
)
def test_hostile_names_neither_run_nor_break(text: str, page: Page, tmp_path: Path) -> None:
    graph = archspec.read_text("model Net:\n    input x: [3, 8, 8]\n    return x -> conv: Conv(4, 3)\n")
    step = graph.model.steps[0].with_changes(name=text)
    model = graph.model.with_changes(steps=(step,), outputs=(Ref(text),))
    changed = {"functions": (model,), "name": text, "doc": text}
    hostile = graph.model_copy(update=changed).known_valid()  # the check of graphs lets fewer names through
    show(page, hostile, tmp_path)
    page.locator(".box").nth(1).hover()
    assert text in (page.locator("#details h2").text_content() or "")
    assert page.locator("#name").text_content() == text


def test_the_bytes_are_the_same_each_time() -> None:
    first = archspec.draw(archspec.read("swin_t")).render("html")
    assert first == archspec.draw(archspec.read("swin_t")).render("html")
    assert os.fsencode(Path.cwd()) not in first


def test_the_command_writes_it_without_graphviz_or_torch(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom archspec.cli import main\nsys.argv = ['archspec', 'draw', 'resnet18', '--view', 'html']\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "resnet18.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_lines_are_quoted_from_the_readers_own_files(tmp_path: Path) -> None:
    spec = tmp_path / "mine.arch"
    spec.write_text("model Mine:\n    input x: [4]\n    return x -> first: Linear(3)\n", encoding="utf-8")
    drawing = archspec.draw(archspec.read(spec))
    assert "return x -\\u003e" not in drawing.render("html", folders=[tmp_path]).decode()
    assert '"line":"return x -> first: Linear(3)"' in drawing.render("html", folders=[tmp_path]).decode()
    spec.write_text("model Mine:\n    input x: [4]\n    return x -> other: Linear(3)\n", encoding="utf-8")
    assert '"line":""' in drawing.render("html", folders=[tmp_path]).decode()  # no longer what was read
