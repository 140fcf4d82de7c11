"""The console as its user has it: in headless Chromium, against a node that runs real machines."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

HERE = Path(__file__).parent
RECEIPTS = HERE.parent / "vectors" / "receipts"
SCREENSHOTS = os.environ.get("FAAS_TEST_SCREENSHOTS")
"""A folder to leave pictures of all pages in; by default none are taken."""

pytest.importorskip("selenium", reason="the console is not tested without selenium: run scripts/setup")


def _module(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


browsing = _module("console_browser")

pytestmark = [
    pytest.mark.machine,
    pytest.mark.slow,
    pytest.mark.skipif(
        not (browsing.CHROMIUM and browsing.DRIVER),
        reason="the console is not tested without Chromium: run scripts/setup-test-programs",
    ),
]

CONTRACT = "0x" + "2" * 40
MARKUP = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
FILE = "<img src=x onerror=alert(1)>.txt"
PROGRAM = f"""import sys, os
print({MARKUP!r}, flush=True)
print("careful", file=sys.stderr, flush=True)
os.makedirs("output", exist_ok=True)
open("output/" + {FILE!r}, "w").write("kept")
print("read", input())
"""
ENDLESS = "print('begun', flush=True)\nwhile True: pass\n"


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """The base URL of a node whose key is `alice`."""
    database = f"sqlite:///{tmp_path_factory.mktemp('console') / 'store.sqlite'}"
    more = {"FAAS_REQUESTS_PER_MINUTE": "10000", "FAAS_REQUESTS_PER_HOUR": "100000", "FAAS_CHAIN_ID": "31337",
            "FAAS_CREDITS": CONTRACT}  # fmt: skip
    command = [sys.executable, HERE / "served_node.py", database]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | more) as process:
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


@pytest.fixture(scope="module")
def browser(node, tmp_path_factory):
    with browsing.chromium(node, tmp_path_factory.mktemp("chromium")) as made:
        made.size(1200, 900)
        yield made


@pytest.fixture(scope="module")
def signed_in(browser):
    """Alice, who has run something that left a snapshot."""
    browser.open()
    browser.find("input[name=key]").send_keys("alice\n")
    browser.find("textarea[name=code]")
    return browser


@pytest.fixture(scope="module")
def done(signed_in):
    """The id of a run of PROGRAM, made with the console, whose machine was kept."""
    signed_in.open("#/run")
    enter(signed_in, PROGRAM, stdin="that", mode="checkpointed")
    signed_in.button("Run").click()
    signed_in.see("Completed with exit code 0")
    return signed_in.find(".result a").get_attribute("href").rpartition("/")[2]


@pytest.fixture(autouse=True)
def _quiet(browser):
    """The browser refuses nothing that the console does, and no script fails."""
    yield
    expected = tuple(f"status of {status} " for status in (400, 401, 404, 409))
    assert [text for text in browser.complaints() if not any(known in text for known in expected)] == []


def enter(browser, code, **fields):
    browser.find("textarea[name=code]")
    for name, value in {"code": code, **fields}.items():
        browser.script("document.querySelector(`[name=${arguments[0]}]`).value = arguments[1]", name, value)


# -- signing in


def test_a_wrong_key_is_refused_in_the_words_of_the_api(browser):
    browser.open()
    key = browser.find("input[name=key]")
    key.send_keys("wrong\n")
    browser.see("UNAUTHORIZED: the API key is not valid")
    assert browser.script("return sessionStorage.length + localStorage.length + document.cookie.length") == 0


def test_the_key_is_kept_in_this_tab_and_forgotten_on_leaving(signed_in):
    signed_in.open("#/keys")
    signed_in.see("acct_")
    assert signed_in.script("return localStorage.length + document.cookie.length") == 0
    signed_in.button("Sign out").click()
    signed_in.see("API key")
    assert signed_in.script("return sessionStorage.length") == 0
    signed_in.find("input[name=key]").send_keys("alice\n")
    signed_in.see("acct_")


WALLET = """
const key = new Uint8Array(32).fill(7);
window.ethereum = {async request({method, params}) {
  const {secp256k1, keccak_256} = await import("/console/vendor/noble.js");
  const hex = (bytes) => "0x" + [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (method === "eth_requestAccounts") {
    return [hex(keccak_256(secp256k1.getPublicKey(key, false).subarray(1)).subarray(12))];
  }
  const message = Uint8Array.from(params[0].slice(2).match(/../g), (digits) => parseInt(digits, 16));
  const head = new TextEncoder().encode(`\\x19Ethereum Signed Message:\\n${message.length}`);
  const signed = secp256k1.sign(keccak_256(new Uint8Array([...head, ...message])), key);
  return hex(signed.toCompactRawBytes()) + (27 + signed.recovery).toString(16);
}};
"""


def test_a_wallet_signs_in_and_its_key_ends_with_the_session(signed_in, node):
    wallet = signed_in.before_pages(WALLET)
    try:
        signed_in.script("sessionStorage.clear()")
        signed_in.open("#/keys")
        signed_in.button("Sign in with wallet").click()
        signed_in.see("Pays from (ethereum)")
        key = json.loads(signed_in.script("return sessionStorage.getItem('faas-console-session')"))["key"]
        account = f"{node}/api/v1/account"
        assert httpx.get(account, headers={"X-API-Key": key}).json()["addresses"] != []
        signed_in.button("Sign out").click()
        signed_in.until(lambda: httpx.get(account, headers={"X-API-Key": key}).status_code == 401)
    finally:
        signed_in.no_longer_before_pages(wallet)
    signed_in.open("#/keys")
    assert not any("wallet" in button.text for button in signed_in.all("button"))
    signed_in.find("input[name=key]").send_keys("alice\n")
    signed_in.see("acct_")


# -- running


def test_output_appears_while_it_runs_and_it_can_be_cancelled(signed_in):
    signed_in.open("#/run")
    enter(signed_in, ENDLESS)
    signed_in.button("Run").click()
    signed_in.see("begun")
    signed_in.see("virtual milliseconds")
    signed_in.button("Cancel").click()
    signed_in.see("cancelled")
    assert signed_in.find(".log").get_attribute("role") == "log"


ASKING = """import sys
name = input("name? ")
print("age? ", end="")
print(name, "is", input(), repr(sys.stdin.read()))
"""


def ask(browser, code=ASKING, terminal=False):
    """Runs something interactive, to its first question; answers its input line."""
    browser.open("#/run")
    enter(browser, code)
    browser.find("input[name=interactive]").click()
    if terminal:
        browser.find("input[name=terminal]").click()
    browser.button("Run").click()
    return input_line(browser)


def input_line(browser):
    """Once it is there."""
    lines = "input[name=input]"
    return browser.until(lambda: next((line for line in browser.all(lines) if line.is_displayed()), None))


def test_an_interactive_run_is_answered_line_by_line(signed_in):
    focused = "return document.activeElement.name ?? document.activeElement.getAttribute('role')"
    line = ask(signed_in)
    signed_in.see("It waits for a line of input.")
    announced = signed_in.script("return document.getElementById('announcement').textContent")
    assert announced == "It waits for a line of input."
    assert signed_in.script(focused) == "input"
    assert signed_in.script(UNNAMED) == []
    assert signed_in.script(STRUCTURE) == SOUND
    try:
        for name, width, scheme in (
            ("desktop", 1200, "light"), ("phone", 360, "light"), ("phone", 360, "dark"),
        ):  # fmt: skip
            signed_in.size(width, 740, width < 400, scheme)
            assert signed_in.script("return document.documentElement.scrollWidth") <= width, name
            assert signed_in.script(SMALL) == []
            picture(signed_in, f"interactive-{name}-{scheme}")
    finally:
        signed_in.size(1200, 900)
    line.send_keys(MARKUP + "\n")
    signed_in.see("age?")
    line.send_keys("3")
    line.send_keys("6\n")
    assert signed_in.script(focused) == "input"
    line.send_keys("rest")
    signed_in.button("End input").click()
    signed_in.see("Completed with exit code 0")
    signed_in.see(f"{MARKUP} is 36 'rest'")
    typed = [node.get_attribute("textContent") for node in signed_in.all(".log .typed")]
    assert typed == [f"{MARKUP}\n", "36\n", "rest\n"]
    assert not line.is_displayed()
    assert signed_in.script(focused) == "log"
    assert signed_in.all("main img, main script") == []

    signed_in.find(".result a").click()
    assert "Verified: signature and digests hold together." in verdict(signed_in)


def test_an_interactive_run_is_answered_from_its_own_page_and_can_be_cancelled(signed_in):
    ask(signed_in)
    place = signed_in.find(".result a").get_attribute("href").rpartition("#")[2]
    signed_in.open(f"#{place}")
    line = input_line(signed_in)
    line.send_keys("Ada\n")
    signed_in.see("age?")
    signed_in.button("Cancel").click()
    signed_in.find(".badge.cancelled")
    assert signed_in.all("input[name=input]") == []


def test_input_that_is_not_taken_is_told(signed_in, node):
    line = ask(signed_in, "input('name? ')\nprint('on it goes', flush=True)\nwhile True: pass\n")
    line.send_keys("Ada\n")
    signed_in.see("on it goes")
    place = signed_in.find(".result a").get_attribute("href").rpartition("/")[2]
    ended = httpx.post(
        f"{node}/api/v1/executions/{place}/input", headers={"X-API-Key": "alice"}, json={"end": True}
    )
    assert ended.status_code == 204
    line.send_keys("more\n")
    signed_in.see("INVALID_REQUEST: the run's input has ended")
    signed_in.button("Cancel").click()
    signed_in.see("cancelled")
    assert not line.is_displayed()


ON_A_TERMINAL = """import os, sys
print("\\x1b[1;31mred\\x1b[0m", all(map(os.isatty, range(3))), os.get_terminal_size(), flush=True)
print("to", input("name? "), file=sys.stderr)
print(repr(sys.stdin.read()))
"""


def shown(browser):
    return "".join(node.get_attribute("textContent") for node in browser.all(".log pre"))


def test_a_run_on_a_terminal_is_typed_at_and_shown_as_text(signed_in, node):
    line = ask(signed_in, ON_A_TERMINAL, terminal=True)
    signed_in.see("It waits for input.")
    identity = signed_in.find(".result a").get_attribute("href").rpartition("/")[2]
    place = f"{node}/api/v1/executions/{identity}"
    size = httpx.get(place, headers={"X-API-Key": "alice"}).json()["job"]["terminal"]
    log = signed_in.find(".log").size
    assert 20 < size["cols"] < log["width"] / 5
    assert 10 < size["rows"] < 60
    line.send_keys("Ada\n")
    signed_in.see("to Ada")
    line.send_keys("rest\n")
    signed_in.see("rest")
    signed_in.button("End input").click()
    signed_in.see("Completed with exit code 0")
    picture(signed_in, "terminal-desktop")
    told = f"red True os.terminal_size(columns={size['cols']}, lines={size['rows']})\n"
    told += "name? Ada\nto Ada\nrest\n'rest\\n'\n"
    signed_in.until(lambda: shown(signed_in) == told, told)
    assert signed_in.all(".log .typed, .log .stderr") == []
    assert "\r\n" in httpx.get(place, headers={"X-API-Key": "alice"}).json()["stdout"]

    signed_in.find(".result a").click()
    assert "Verified: signature and digests hold together." in verdict(signed_in)
    assert shown(signed_in) == told


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a\x1b[1;3", "1mb\x1b[0m\x1b", "[?25lc"], "abc"),
        (["\x1b]0;title\x07a\x1b]8;;http://x\x1b", "\\b\x1b\\c\x1b(Bd\x1b=e"], "abcde"),
        (["one\r", "\ntwo\r\n\r\n"], "one\ntwo\n\n"),
        (["50%\r", "60%\n"], "50%\r60%\n"),
        (["<b>\x1b[", "\n", "é"], "<b>\né"),
        (["\x1b]" + "x" * 5000, "y"], "x" * 5000 + "y"),
    ],
)
def test_orders_to_a_terminal_are_left_out(browser, pieces, text):
    browser.open()
    found = browser.driver.execute_async_script("""
        const [pieces, told] = arguments;
        const {TerminalText} = await import("/console/output.js");
        const plain = new TerminalText();
        told(pieces.map((piece) => plain.of(piece)).join(""));
    """, pieces)  # fmt: skip
    assert found == text


def test_a_terminal_is_for_interactive_runs(signed_in):
    signed_in.open("#/run")
    terminal = signed_in.find("input[name=terminal]")
    assert not terminal.is_enabled()
    signed_in.find("input[name=interactive]").click()
    terminal.click()
    assert terminal.is_selected()
    signed_in.find("input[name=interactive]").click()
    assert not terminal.is_enabled()
    assert signed_in.script(UNNAMED) == []
    sizes = []
    try:
        for width in (1200, 360):
            signed_in.size(width, 740, width < 400)
            sizes.append(signed_in.driver.execute_async_script("""
                const [told] = arguments;
                const {terminalSize} = await import("/console/output.js");
                told(terminalSize(document.querySelector(".result")));
            """))  # fmt: skip
    finally:
        signed_in.size(1200, 900)
    assert 80 < sizes[0]["cols"] < 200
    assert 20 < sizes[1]["cols"] < 50
    assert 10 < sizes[0]["rows"] == sizes[1]["rows"] < 60
    assert signed_in.all(".result *") == []


def test_interactive_fixes_mode_and_start(signed_in):
    signed_in.open("#/run")
    signed_in.choose("select[name=mode]", "checkpointed")
    signed_in.find("input[name=interactive]").click()
    mode = signed_in.find("select[name=mode]")
    assert (mode.get_attribute("value"), mode.is_enabled()) == ("ephemeral", False)
    assert not signed_in.find("select[name=start]").is_enabled()
    signed_in.find("input[name=interactive]").click()
    assert mode.is_enabled()


def test_the_two_streams_are_told_apart_and_markup_stays_text(signed_in, done):
    signed_in.go(f"#/executions/{done}")
    signed_in.find(".log .stderr")
    stdout = "".join(node.text for node in signed_in.all(".log .stdout"))
    assert MARKUP in stdout
    assert "read that" in stdout
    assert signed_in.find(".log .stderr").get_attribute("textContent") == "careful\n"
    assert FILE in signed_in.text()
    assert signed_in.all("main img, main script") == []
    assert "taken" not in signed_in.driver.title


def test_the_policy_lets_no_text_become_markup_and_nothing_go_elsewhere(signed_in):
    signed_in.open("#/credits")
    signed_in.find(".facts")
    markup = "try { document.body.innerHTML = '<b>x</b>'; return 'markup'; } catch (e) { return e.name; }"
    assert signed_in.script(markup) == "TypeError"
    asked = "fetch('http://127.0.0.2:1/').then(() => told('asked'), (e) => told(e.message))"
    elsewhere = signed_in.driver.execute_async_script(f"const told = arguments[0]; {asked}")
    assert elsewhere != "asked"
    refused = "\n".join(signed_in.complaints())
    assert "TrustedHTML" in refused
    assert "Content Security Policy" in refused
    assert "connect-src" in refused


def test_a_request_that_is_refused_says_so(signed_in):
    signed_in.open("#/run")
    enter(signed_in, "1", memory_mb="1")
    signed_in.button("Run").click()
    signed_in.see("INVALID_REQUEST")
    assert "memory_mb" in signed_in.find("form .error").text


def test_tab_indents_and_escape_leaves_the_editor(signed_in):
    from selenium.webdriver.common.keys import Keys

    signed_in.open("#/run")
    enter(signed_in, "")
    code = signed_in.find("textarea[name=code]")
    code.send_keys("a\n" + Keys.TAB + "b")
    assert code.get_attribute("value") == "a\n    b"
    code.send_keys(Keys.SHIFT + Keys.TAB)
    assert code.get_attribute("value") == "a\nb"
    code.send_keys(Keys.NULL + Keys.ESCAPE + Keys.TAB)
    assert signed_in.script("return document.activeElement.name") == "stdin"


def test_the_list_is_filtered_and_linked(signed_in, done):
    signed_in.open("#/executions")
    signed_in.find(f"a[href='#/executions/{done}']")
    signed_in.choose("select[name=status]", "failed")
    signed_in.see("No executions with this status")
    signed_in.choose("select[name=status]", "completed")
    signed_in.find(f"a[href='#/executions/{done}']").click()
    signed_in.see("outcome_digest")


def test_a_long_list_is_shown_in_parts(signed_in, node):
    asked = {"code": "1", "language": "python", "mode": "cached"}
    for _ in range(21):
        httpx.post(f"{node}/api/v1/execute", headers={"X-API-Key": "alice"}, json=asked, timeout=60)
    signed_in.open("#/executions")
    assert len(signed_in.until(lambda: signed_in.all(".list tbody tr"))) == 20
    assert signed_in.find(".pager span").text.startswith("1 to 20 of ")
    signed_in.button("Older").click()
    signed_in.until(lambda: signed_in.find(".pager span").text.startswith("21 to "))
    assert "offset=20" in signed_in.driver.current_url
    signed_in.button("Newer").click()
    signed_in.until(lambda: signed_in.find(".pager span").text.startswith("1 to "))


def test_a_running_execution_is_followed_on_its_own_page(signed_in, node):
    asked = {"code": ENDLESS, "language": "python", "async": True}
    begun = httpx.post(f"{node}/api/v1/execute", headers={"X-API-Key": "alice"}, json=asked).json()
    signed_in.open(f"#/executions/{begun['id']}")
    signed_in.see("begun")
    signed_in.button("Cancel").click()
    signed_in.find(".badge.cancelled")
    assert signed_in.all("progress") == []


def test_a_file_is_downloaded_whole(signed_in, done):
    signed_in.open(f"#/executions/{done}")
    signed_in.find(f"button[aria-label='Download {FILE}']")
    saved = signed_in.driver.execute_async_script("""
        const told = arguments[0];
        const before = URL.createObjectURL;
        URL.createObjectURL = (blob) => { blob.text().then(told); return before.call(URL, blob); };
        document.querySelector("button[aria-label^=Download]").click();
    """)
    assert saved == "kept"


# -- receipts


def verdict(browser):
    browser.button("Verify").click()
    browser.find(".verdict .findings")
    return browser.find(".verdict").text


def test_a_receipt_is_verified_in_the_browser(signed_in, done):
    signed_in.open(f"#/executions/{done}")
    text = verdict(signed_in)
    assert "Verified: signature and digests hold together." in text
    statuses = [item.get_attribute("data-status") for item in signed_in.all(".findings li")]
    assert statuses == ["passed"] * 5


TAMPER = """
const before = window.fetch;
window.fetch = async (...asked) => {
  const answer = await before(...asked);
  if (!String(asked[0]).endsWith("/receipt")) return answer;
  const file = await answer.json();
  (%s)(file);
  return new Response(JSON.stringify(file));
};
"""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("f => f.outcome.exit_code = 1", "outcome failed: outcome_digest"),
        ("f => f.outcome.stdout.content += '00'", "outcome failed: stdout size"),
        ("f => f.outcome.files.manifest[0].content = '0x6b657074'.replace('74', '75')", "SHA-256 is"),
        ("f => f.outcome.files.manifest[0].path = 'b'", "outcome failed: files.sha256"),
        ("f => f.job += '00'", "job failed: job_digest"),
        ("f => f.receipt.state_root = f.receipt.snapshot", "signature failed: operator is"),
        ("f => f.receipt.operator = '0x' + '11'.repeat(20)", "signature failed: operator is"),
        ("f => f.signature = f.signature.slice(0, -2) + '1d'", "nobody: the signature is not valid"),
        ("f => f.more = 1", "unknown field 'more'"),
    ],
)
def test_a_tampered_receipt_is_not_verified(signed_in, done, change, found):
    signed_in.go("#/keys")
    signed_in.find("input[name=days]")
    signed_in.go(f"#/executions/{done}")
    signed_in.button("Verify")
    signed_in.script(
        "window.untampered ??= window.fetch; window.fetch = window.untampered;" + TAMPER % change
    )
    text = verdict(signed_in)
    signed_in.script("window.fetch = window.untampered")
    assert "Not verified." in text
    assert found in text


def test_a_page_that_shows_something_else_than_was_signed(signed_in, done):
    signed_in.open(f"#/executions/{done}")
    signed_in.button("Verify")
    found = signed_in.driver.execute_async_script("""
        const [id, told] = arguments;
        const key = JSON.parse(sessionStorage.getItem("faas-console-session")).key;
        const base = `/api/v1/executions/${id}`;
        const get = async (path) => (await fetch(base + path, {headers: {"X-API-Key": key}})).json();
        const {verify} = await import("/console/receipt.js");
        const [shown, file] = [await get(""), await get("/receipt")];
        told([verify(file, shown).passed, verify(file, {...shown, stdout: "else"}).findings.at(-1)]);
    """, done)  # fmt: skip
    assert found[0] is True
    assert (found[1]["status"], found[1]["name"]) == ("failed", "page")


def test_it_judges_the_verifiers_samples_as_the_verifier_does(browser):
    """All that can be judged of a file by itself."""
    samples = {path.name: json.loads(path.read_text()) for path in sorted(RECEIPTS.iterdir())}
    alone = {name: sample for name, sample in samples.items() if sample["file"] and not sample["chain"]}
    assert len(alone) > 20
    browser.open()
    found = browser.driver.execute_async_script("""
        const [files, told] = arguments;
        const {verify} = await import("/console/receipt.js");
        told(Object.fromEntries(Object.entries(files).map(([name, file]) => [name, verify(file)])));
    """, {name: sample["file"] for name, sample in alone.items()})  # fmt: skip
    for name, sample in alone.items():
        expected = [number for number in sample["deciding"] if number in (1, 2, 4, 6)]
        wrong = [line["number"] for line in found[name]["findings"] if line["status"] != "passed"]
        assert (wrong[:1], found[name]["passed"]) == (expected[:1], expected == []), name


# -- snapshots, usage, credits, keys


def test_snapshots_and_branches_are_a_tree(signed_in, done):
    signed_in.open("#/snapshots")
    signed_in.find(".tree > li > ul > li[data-snapshot]")
    snapshot = signed_in.find("[data-snapshot]").get_attribute("data-snapshot")
    signed_in.button(f"Begin a branch at {snapshot}").click()
    signed_in.find(f"li[data-snapshot='{snapshot}'] > ul > li[data-branch]")
    assert "head of branch_" in signed_in.find(f"li[data-snapshot='{snapshot}']").text
    signed_in.find(f"li[data-snapshot='{snapshot}'] .entry a").click()
    signed_in.until(lambda: signed_in.find("[name=start]").get_attribute("value") == f"snapshot:{snapshot}")
    signed_in.open("#/snapshots")
    signed_in.button(f"Delete {snapshot}").click()
    signed_in.driver.switch_to.alert.accept()
    signed_in.see("INVALID_REQUEST")


def test_usage_is_a_chart_and_a_table(signed_in, done):
    signed_in.open("#/usage")
    assert signed_in.find(".chart svg").get_attribute("role") == "img"
    assert signed_in.find(".chart svg").accessible_name.startswith("Cost by the price table: ")
    bars = signed_in.all(".chart .bar")
    assert len(bars) == 30
    assert float(bars[-1].get_attribute("height")) > 100
    signed_in.choose("select[name=measure]", "runs")
    signed_in.find(".chart summary").click()
    rows = signed_in.all(".chart tbody tr")
    assert len(rows) == 30
    assert int(rows[-1].text.split()[-1]) >= 1


def test_credits_and_deposits(signed_in):
    signed_in.open("#/credits")
    signed_in.see("Held for runs that go on")
    signed_in.see("Call deposit(account) of the contract")
    signed_in.see(CONTRACT)
    signed_in.see("Price table")


def test_a_key_is_shown_once_and_revoked(signed_in, node):
    signed_in.open("#/keys")
    signed_in.find("input[name=name]").send_keys("<b>mine</b>")
    signed_in.button("Make a key").click()
    key = signed_in.find(".once code.key").text
    account = f"{node}/api/v1/account"
    assert httpx.get(account, headers={"X-API-Key": key}).json()["scopes"] == ["execute", "read", "snapshots"]
    signed_in.button("Revoke <b>mine</b>").click()
    signed_in.driver.switch_to.alert.accept()
    signed_in.until(lambda: httpx.get(account, headers={"X-API-Key": key}).status_code == 401)
    signed_in.open("#/keys")
    signed_in.see("<b>mine</b>")
    assert key not in signed_in.driver.page_source


def test_a_key_that_ends_meanwhile_leads_back_to_signing_in(signed_in, node):
    headers = {"X-API-Key": "alice"}
    made = httpx.post(f"{node}/api/v1/keys", headers=headers, json={"scopes": ["read"]}).json()
    stored = json.dumps({"key": made["api_key"], "wallet": False})
    signed_in.script("sessionStorage.setItem('faas-console-session', arguments[0])", stored)
    signed_in.open("#/executions")
    signed_in.find("select[name=status]")
    httpx.delete(f"{node}/api/v1/keys/{made['key_id']}", headers=headers)
    signed_in.choose("select[name=status]", "failed")
    signed_in.see("UNAUTHORIZED: the API key is not valid")
    signed_in.find("input[name=key]").send_keys("alice\n")
    signed_in.find("select[name=status]")


# -- for everyone

UNNAMED = """
const kinds = "a, button, input, select, textarea, summary, [role=img], [role=region]";
return [...document.querySelectorAll(kinds)]
  .filter((node) => node.checkVisibility())
  .filter((node) => !(node.textContent.trim() && ["A", "BUTTON", "SUMMARY"].includes(node.tagName)
    || node.getAttribute("aria-label") || node.labels?.length))
  .map((node) => node.outerHTML.slice(0, 80));
"""
STRUCTURE = """
const ids = [...document.querySelectorAll("[id]")].map((node) => node.id);
const levels = [...document.querySelectorAll("h1, h2, h3")].map((node) => Number(node.tagName[1]));
return {
  lang: document.documentElement.lang,
  mains: document.querySelectorAll("main").length,
  h1s: levels.filter((level) => level === 1).length,
  skipped: levels.filter((level, at) => at > 0 && level > levels[at - 1] + 1).length,
  repeated: ids.filter((id, at) => ids.indexOf(id) !== at),
  dangling: [...document.querySelectorAll("[aria-labelledby], [aria-describedby], label[for]")]
    .flatMap((node) => ["aria-labelledby", "aria-describedby", "for"].map((name) => node.getAttribute(name)))
    .filter((id) => id && !document.getElementById(id)),
  positive: document.querySelectorAll("[tabindex]:not([tabindex='0']):not([tabindex='-1'])").length,
  pictures: document.querySelectorAll("img:not([alt])").length,
};
"""
SOUND = {"lang": "en", "mains": 1, "h1s": 1, "skipped": 0, "repeated": [], "dangling": [], "positive": 0,
         "pictures": 0}  # fmt: skip
SMALL = """
return [...document.querySelectorAll("button, input, select, textarea, nav a, summary")]
  .filter((node) => node.checkVisibility())
  .map((node) => [node.outerHTML.slice(0, 60), node.getBoundingClientRect()])
  .filter(([, box]) => box.height > 0 && (box.height < 20 || box.width < 20)).map(([name]) => name);
"""

SHIFTS = """
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
}).observe({type: "layout-shift", buffered: true});
"""

PAGES = {"run": "textarea", "executions": ".list table", "execution": ".findings", "snapshots": ".tree",
         "usage": ".chart", "credits": ".facts", "keys": ".list"}  # fmt: skip


def picture(browser, name):
    if SCREENSHOTS:
        folder = Path(SCREENSHOTS)
        folder.mkdir(parents=True, exist_ok=True)
        shot = {"captureBeyondViewport": True, "format": "png"}
        data = browser.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"]
        (folder / f"{name}.png").write_bytes(base64.b64decode(data))


@pytest.mark.parametrize("page", PAGES)
def test_each_page_is_named_ordered_and_fits_a_phone(signed_in, done, page):
    place = f"executions/{done}" if page == "execution" else page
    signed_in.open(f"#/{place}")
    if page == "execution":
        verdict(signed_in)
    signed_in.find(PAGES[page])
    assert signed_in.script(UNNAMED) == []
    assert signed_in.script(STRUCTURE) == SOUND
    assert signed_in.script("return document.activeElement.tagName") in ("H1", "BUTTON")
    try:
        for name, width, scheme in (
            ("desktop", 1200, "light"), ("phone", 360, "light"),
            ("desktop", 1200, "dark"), ("phone", 360, "dark"),
        ):  # fmt: skip
            signed_in.size(width, 740, width < 400, scheme)
            assert signed_in.script("return document.documentElement.scrollWidth") <= width, name
            assert signed_in.script(SMALL) == []
            picture(signed_in, f"{page}-{name}-{scheme}")
    finally:
        signed_in.size(1200, 900)


@pytest.mark.parametrize("page", ["run", "executions", "usage"])
def test_nothing_jumps_while_a_page_loads(signed_in, page):
    watching = signed_in.before_pages(SHIFTS)
    try:
        for width in (1200, 360):
            signed_in.size(width, 740, width < 400)
            signed_in.open(f"#/{page}")
            signed_in.find(PAGES[page])
            assert signed_in.script("return window.shifted") < 0.1, width
    finally:
        signed_in.no_longer_before_pages(watching)
        signed_in.size(1200, 900)


def test_dark_is_dark(signed_in):
    background = "return getComputedStyle(document.body).backgroundColor"
    signed_in.size(1200, 900, scheme="dark")
    dark = signed_in.script(background)
    signed_in.size(1200, 900)
    assert (dark, signed_in.script(background)) == ("rgb(18, 22, 28)", "rgb(255, 255, 255)")
