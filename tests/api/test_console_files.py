"""What the console's files are served with, and what they may not hold."""

from __future__ import annotations

import re

import pytest

from faas_api.console_files import FOLDER, POLICY

FILES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file())
OURS = [name for name in FILES if not name.startswith("vendor/")]
FORBIDDEN = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function",
             "localStorage", "document.cookie", "srcdoc", " style=", "onerror=")  # fmt: skip
KINDS = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


@pytest.mark.parametrize("name", FILES)
async def test_each_file(client, name):
    answer = await client.get(f"/console/{name}", headers={"X-API-Key": ""})
    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-cache"
    if (ending := name.rpartition(".")[2]) in KINDS:
        assert answer.headers["Content-Type"].startswith(KINDS[ending])
    again = await client.get(f"/console/{name}", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Content-Security-Policy"] == POLICY


async def test_a_browser_is_sent_there(client):
    for path in ("/", "/console"):
        answer = await client.get(path, headers={"Accept": "text/html,*/*;q=0.8"})
        assert (answer.status_code, answer.headers["Location"]) == (307, "/console/")
    assert (await client.get("/console/")).text == (FOLDER / "index.html").read_text()
    answer = await client.get("/", headers={"Accept": "*/*"})
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "NOT_FOUND"


@pytest.mark.parametrize("path", ["/docs", "/docs/oauth2-redirect", "/redoc"])
async def test_no_page_with_scripts_from_elsewhere_is_on_its_origin(client, path):
    answer = await client.get(path, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    assert (await client.get("/openapi.json")).json()["openapi"]


@pytest.mark.parametrize("path", ["none.js", "../app.py", "%2e%2e/app.py", "..%2fapp.py", "vendor"])
async def test_nothing_else_is_there(client, path):
    answer = await client.get(f"/console/{path}")
    assert answer.status_code in (404, 307)
    assert b"create_app" not in answer.content
    if answer.status_code == 404:
        assert answer.json()["error"]["code"] == "NOT_FOUND"


async def test_it_only_answers(client):
    answer = await client.post("/console/main.js")
    assert answer.status_code == 405
    assert answer.json()["error"]["code"] == "INVALID_REQUEST"


@pytest.mark.parametrize("name", OURS)
def test_nothing_from_elsewhere_and_nothing_inline(name):
    text = (FOLDER / name).read_text()
    elsewhere = re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text.replace("http://www.w3.org/2000/svg", ""))
    assert elsewhere == []
    for forbidden in FORBIDDEN:
        assert forbidden not in text
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)


# -- colours: WCAG 2.2 asks 4.5 to 1 of text and 3 to 1 of the borders of controls

TEXTS = ("ink", "soft", "accent", "good", "bad", "stderr")


def palettes():
    css = (FOLDER / "console.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    light, dark = (dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in blocks)
    assert light.keys() == dark.keys()
    return {"light": light, "dark": dark}


def contrast(one, other):
    def luminance(colour):
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast(scheme):
    colours = palettes()[scheme]
    for background in ("paper", "surface"):
        for text in TEXTS:
            assert contrast(colours[text], colours[background]) >= 4.5, (text, background)
        assert contrast(colours["line"], colours[background]) >= 3, background
    assert contrast(colours["on-accent"], colours["accent"]) >= 4.5
    assert round(contrast("#000000", "#ffffff"), 1) == 21


def test_no_colour_is_named_elsewhere():
    css = (FOLDER / "console.css").read_text()
    assert "#" not in re.sub(r":root \{.*?\}", "", css, flags=re.DOTALL)
