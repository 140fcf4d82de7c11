"""Pages of other origins: those that are named may call the API, others read nothing of it."""

from __future__ import annotations

import functools
import http.server
import importlib.util
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from faas_api.app import create_app
from faas_blueprint.errors import MissingPrerequisite
from faas_operator.settings import Secrets, Settings

HERE = Path(__file__).parent
PAGE, STRANGER = "https://page.example", "https://stranger.example"
ALLOWED = "access-control-allow-origin"
SENT = "authorization,content-type,idempotency-key,prefer,x-api-key"


@pytest.fixture
def client_for(app_service, tmp_path):
    def make(origins):
        app = create_app(
            app_service, Settings(home=tmp_path, api_origins=origins), Secrets.with_api_keys("alice")
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://test/api/v1")

    return make


def preflight(origin: str, method: str = "POST") -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": SENT,
    }


@pytest.mark.parametrize("origins", [PAGE, f"https://other.example, {PAGE}/", "*"])
async def test_a_page_that_is_named_may_ask_and_read(client_for, origins):
    async with client_for(origins) as client:
        for method in ("GET", "POST", "PATCH", "PUT", "DELETE"):
            asked = await client.options("/execute", headers=preflight(PAGE, method))
            assert asked.status_code == 200
            assert asked.headers[ALLOWED] in (PAGE, "*")
            assert set(SENT.split(",")) <= set(
                asked.headers["access-control-allow-headers"].lower().split(", ")
            )
        for answer in (
            await client.get("/account", headers={"Origin": PAGE, "X-API-Key": "alice"}),
            await client.get("/account", headers={"Origin": PAGE}),
            await client.get("/nowhere", headers={"Origin": PAGE}),
            await client.post("/execute", headers={"Origin": PAGE, "Content-Length": "99999999"}),
        ):
            assert answer.headers[ALLOWED] in (PAGE, "*"), answer.text
            assert "X-RateLimit-Remaining" in answer.headers["access-control-expose-headers"]
            assert "access-control-allow-credentials" not in answer.headers


async def test_others_may_not(client_for):
    async with client_for(PAGE) as client:
        assert ALLOWED not in (await client.options("/execute", headers=preflight(STRANGER))).headers
        assert ALLOWED not in (await client.get("/pricing", headers={"Origin": STRANGER})).headers
    async with client_for(()) as client:
        asked = await client.options("/execute", headers=preflight(PAGE))
        assert (asked.status_code, asked.json()["error"]["code"]) == (405, "INVALID_REQUEST")
        assert ALLOWED not in (await client.get("/pricing", headers={"Origin": PAGE})).headers


@pytest.mark.parametrize("origins", ["page.example", f"{PAGE}/path", f"*,{PAGE}"])
def test_what_is_no_origin_is_refused(origins):
    with pytest.raises(MissingPrerequisite, match="origin"):
        Settings(api_origins=origins)


# -- in a browser

SELENIUM = importlib.util.find_spec("selenium")

FETCH = """
const [node, say] = arguments;
const headers = {Authorization: "Bearer alice", "Content-Type": "application/json", "Idempotency-Key": "one"};
const body = JSON.stringify({code: "print(6 * 7)", language: "python", mode: "cached"});
fetch(node + "/api/v1/execute", {method: "POST", headers, body})
  .then(async (answer) => say([answer.status, (await answer.json()).stdout,
                               Number(answer.headers.get("X-RateLimit-Limit")) > 0]))
  .catch((error) => say([String(error)]));
"""


def browsing():
    spec = importlib.util.spec_from_file_location("console_browser", HERE / "console_browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    if not (module.CHROMIUM and module.DRIVER):
        pytest.skip("no page is tested without Chromium: run scripts/setup-test-programs")
    return module


@contextmanager
def page_at(folder: Path):
    """The origin of an empty page."""
    (folder / "index.html").write_text("<!doctype html><title>a page</title>")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.machine
@pytest.mark.slow
@pytest.mark.skipif(SELENIUM is None, reason="no page is tested without selenium: run scripts/setup")
def test_a_page_of_another_origin_runs_code(tmp_path):
    browser_of = browsing()
    (tmp_path / "named").mkdir()
    (tmp_path / "stranger").mkdir()
    with page_at(tmp_path / "named") as named, page_at(tmp_path / "stranger") as stranger:
        command = [sys.executable, HERE / "served_node.py", f"sqlite:///{tmp_path / 'store.sqlite'}"]
        environment = os.environ | {"FAAS_API_ORIGINS": named}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            try:
                node = f"http://127.0.0.1:{int(process.stdout.readline())}"
                with browser_of.chromium(node, tmp_path / "chromium") as browser:
                    browser.driver.set_script_timeout(60)
                    browser.driver.get(named)
                    assert browser.driver.execute_async_script(FETCH, node) == [200, "42\n", True]
                    browser.driver.get(stranger)
                    [refused] = browser.driver.execute_async_script(FETCH, node)
                    assert "Failed to fetch" in refused
            finally:
                process.kill()
