"""Every mode, snapshots, branches and merges over HTTP, on real machines."""

from __future__ import annotations

import secrets

import pytest

from faas_blueprint.digests import digest_from_hex, to_hex
from faas_blueprint.proof_json import proof_from_json
from faas_operator.snapshot_keeping import store_branch

pytestmark = pytest.mark.machine


@pytest.fixture
def client(real_client):
    return real_client


def error_of(response, status):
    assert response.status_code == status, response.text
    assert set(response.json()) == {"error"}
    error = response.json()["error"]
    assert set(error) == {"code", "message", "details"}
    return error


async def run(client, code, language="python", path="/execute", **fields):
    response = await client.post(path, json={"code": code, "language": language, **fields})
    assert response.status_code == 200, response.text
    return response.json()


async def branch(client, snapshot_id="base", **fields):
    response = await client.post("/branches", json={"snapshot_id": snapshot_id, **fields})
    assert response.status_code == 200, response.text
    return response.json()


async def test_cached_answers_the_second_time(client):
    nonce = secrets.token_hex(8)
    code = f"print('once', flush=True); raise SystemExit(4)  # {nonce}"
    first = await run(client, code, mode="cached")
    again = await run(client, code, mode="cached")
    assert (again["cached"], again["mode"]) == (True, "cached")
    assert [body["exit_code"] for body in (first, again)] == [4, 4]
    assert again["stdout"] == "once\n"
    assert again["receipt"]["outcome_digest"] == first["receipt"]["outcome_digest"]
    assert again["signature"] != first["signature"]  # another call
    asked = {"code": code, "language": "python", "mode": "cached"}
    others = await client.post("/execute", json=asked, headers={"Authorization": "Bearer bob"})
    assert [body["cached"] for body in (first, others.json())] == [False, False]


async def test_a_compiled_run_names_its_toolchain(client):
    body = await run(
        client, "const twice = (n: number): number => 2 * n; console.log(twice(21))", "typescript"
    )
    assert body["stdout"] == "42\n"
    plain = await run(client, "print(1)")
    assert plain["receipt"]["toolchain"] == "0x" + "00" * 32 != body["receipt"]["toolchain"]
    broken = await run(client, "let x: number = ;", "typescript")
    assert broken["exit_code"] != 0
    assert "main.ts" in broken["stderr"] + broken["stdout"]


async def test_checkpointed_goes_on_from_its_snapshot(client, engine):
    first = await run(client, "x = 41; open('kept.txt', 'w').write('file')", mode="checkpointed")
    snapshot = (await client.get(f"/snapshots/{first['snapshot_id']}")).json()
    assert snapshot["measurement"] == first["receipt"]["state_root"]
    assert snapshot["checksum"] == "sha256:" + first["receipt"]["state_root"][2:]
    assert (snapshot["mode"], snapshot["kind"], snapshot["parent_id"]) == (
        "checkpointed",
        "checkpoint",
        "base",
    )
    record = await engine.library.store.get(digest_from_hex(snapshot["measurement"]))
    assert snapshot["size_bytes"] == record.logical_bytes > 0

    then = await run(client, "print(x + 1, open('kept.txt').read())", snapshot_id=snapshot["id"])
    assert then["stdout"] == "42 file\n"
    assert then["receipt"]["snapshot"] == snapshot["measurement"]
    assert (then["started_on"], then["snapshot_id"]) == (snapshot["id"], None)


async def test_a_branch_moves_on_and_its_parent_stays(client, engine):
    root = (await run(client, "n = 1", mode="checkpointed"))["snapshot_id"]
    made = await branch(client, root, metadata={"name": "feature", "description": "try", "colour": "red"})
    assert made["metadata"] == {"name": "feature", "description": "try", "colour": "red"}
    assert (made["snapshot_id"], made["head"], made["parent_branch"]) == (root, root, None)

    path = f"/branches/{made['branch_id']}/execute"
    first = await run(client, "n += 1; print(n)", path=path)
    second = await run(client, "n += 1; print(n)", mode="branched", branch_id=made["branch_id"])
    assert [first["stdout"], second["stdout"]] == ["2\n", "3\n"]
    parent = (await client.get(f"/snapshots/{root}")).json()["measurement"]
    assert first["receipt"]["snapshot"] != parent  # the fork's own measurement
    moved = (await client.get(f"/branches/{made['branch_id']}")).json()
    assert (moved["head"], moved["snapshot_id"]) == (second["snapshot_id"], root)
    kept = (await client.get(f"/snapshots/{second['snapshot_id']}")).json()
    assert (kept["parent_id"], kept["branch_id"]) == (first["snapshot_id"], made["branch_id"])
    account = (await engine.library.store.list_branches()).keys()
    assert any(name.endswith("branch." + made["branch_id"]) for name in account)

    below = await branch(client, second["snapshot_id"])
    assert below["parent_branch"] == made["branch_id"]
    listed = (await client.get("/branches", params={"parent_branch": made["branch_id"]})).json()
    assert [entry["id"] for entry in listed["branches"]] == [below["id"]]
    assert (await run(client, "print(n)", snapshot_id=root))["stdout"] == "1\n"


async def test_forks_of_one_snapshot_differ_by_their_declared_record(client):
    root = (await run(client, "import random", mode="checkpointed"))["snapshot_id"]
    bodies = [
        await run(
            client,
            "print(random.random())",
            mode="branched",
            snapshot_id=root,
            seed=seed,
            epoch=1_800_000_000,
        )
        for seed in (1, 2, 1)
    ]
    starts = [body["receipt"]["snapshot"] for body in bodies]
    assert starts[0] == starts[2] != starts[1]
    assert bodies[0]["stdout"] == bodies[2]["stdout"] != bodies[1]["stdout"]


async def test_a_session_keeps_its_machine(client):
    first = await run(client, "x = ['here']", mode="persistent")
    session = first["session_id"]
    assert session.startswith("sess_")
    assert (await run(client, "x.append(2); print(x)", session=session))["stdout"] == "['here', 2]\n"
    last = await run(client, "print(len(x))", session=session)
    listed = (await client.get("/sessions")).json()
    assert listed["sessions"][0]["session_id"] == session
    assert listed["sessions"][0]["running"] is True

    early = await client.post("/snapshots", json={"execution_id": first["id"]})
    error_of(early, 409)
    response = await client.post("/snapshots", json={"execution_id": last["id"]})
    assert response.status_code == 200, response.text
    taken = response.json()
    assert (taken["mode"], taken["measurement"]) == ("persistent", last["receipt"]["state_root"])
    assert (await run(client, "x.append(3); print(x)", session=session))["stdout"] == "['here', 2, 3]\n"
    assert (await run(client, "print(x)", snapshot_id=taken["id"]))["stdout"] == "['here', 2]\n"
    assert (await client.delete(f"/sessions/{session}")).status_code == 204
    error_of(await client.delete(f"/sessions/{session}"), 404)
    assert (await run(client, "print(x)", snapshot_id=taken["id"]))["stdout"] == "['here', 2]\n"
    asked = {"code": "print(x)", "language": "python", "session": session}
    assert session in error_of(await client.post("/execute", json=asked), 404)["message"]
    error_of(await client.post("/execute", json={**asked, "session": "sess_mistyped"}), 404)
    assert (await run(client, "y = 1", session="one of ours".replace(" ", "-")))[
        "session_id"
    ] == "one-of-ours"
    assert (await client.delete("/sessions/one-of-ours")).status_code == 204


async def test_a_snapshot_of_any_finished_run(client):
    body = await run(client, "y = 5; open('f', 'w').write('left')")
    response = await client.post(
        "/snapshots",
        json={"execution_id": body["id"], "metadata": {"name": "Initial state", "tags": ["v1", "stable"]}},
    )
    assert response.status_code == 200, response.text
    snapshot = response.json()
    assert snapshot["execution_id"] == body["id"]
    assert (snapshot["mode"], snapshot["metadata"]) == (
        "checkpointed",
        {"name": "Initial state", "tags": ["v1", "stable"]},
    )
    assert (await run(client, "print(y, open('f').read())", snapshot_id=snapshot["id"]))[
        "stdout"
    ] == "5 left\n"

    restored = (await client.post(f"/snapshots/{snapshot['id']}/restore")).json()
    assert (restored["status"], restored["snapshot_id"]) == ("restored", snapshot["id"])
    assert restored["duration_ms"] > 0
    shown = (await client.get(f"/executions/{restored['execution_id']}")).json()
    assert (shown["status"], shown["session_id"]) == ("restored", restored["session_id"])
    assert (await run(client, "y += 1; print(y)", session=restored["session_id"]))["stdout"] == "6\n"
    assert (await run(client, "print(y)", snapshot_id=snapshot["id"]))["stdout"] == "5\n"


async def test_a_run_is_looked_at_on_its_way_and_run_to_its_end(client):
    code = "import time\nfor i in range(4):\n    print(i, flush=True)\n    time.sleep(0.2)"
    body = await run(client, code)
    response = await client.post("/snapshots", json={"execution_id": body["id"], "virtual_ms": 300})
    assert response.status_code == 200, response.text
    snapshot = response.json()
    assert snapshot["paused"] is True
    refused = await client.post(
        "/execute", json={"code": "print(1)", "language": "python", "snapshot_id": snapshot["id"]}
    )
    assert "under way" in error_of(refused, 400)["message"]
    restored = (await client.post(f"/snapshots/{snapshot['id']}/restore")).json()
    assert restored["status"] == "restored"
    events = (await client.get(f"/executions/{restored['execution_id']}/stream")).text
    assert events.rstrip().splitlines()[-3] == "event: completed"
    after = (await client.get(f"/executions/{restored['execution_id']}")).json()
    assert (after["status"], after["stdout"]) == ("completed", "0\n1\n2\n3\n")
    assert after["receipt"]["snapshot"] == body["receipt"]["snapshot"]
    assert (after["mode"], after["virtual_ns"] > 600_000_000) == ("checkpointed", True)

    late = await client.post("/snapshots", json={"execution_id": body["id"], "virtual_ms": 60_000})
    assert error_of(late, 400)["details"]["field"] == "virtual_ms"


async def test_what_others_need_is_not_deleted_and_all_goes_in_the_end(client, engine):
    store = engine.library.store
    before = {record.measurement for record in await store.list()}
    root = (await run(client, "a = 'a doomed line'", mode="checkpointed"))["snapshot_id"]
    twig = await branch(client, root)
    leaf = (await run(client, "a += '!'", mode="branched", branch_id=twig["id"]))["snapshot_id"]
    details = error_of(await client.delete(f"/snapshots/{root}"), 409)["details"]
    assert (details["children"], details["branches"]) == ([leaf], [twig["id"]])
    assert (await client.get(f"/snapshots/{root}")).status_code == 200

    gone = (await client.delete(f"/snapshots/{root}", params={"cascade": "true"})).json()
    assert gone == {"deleted": True, "snapshots": [leaf, root], "branches": [twig["id"]]}
    for path in (f"/snapshots/{root}", f"/snapshots/{leaf}", f"/branches/{twig['id']}"):
        error_of(await client.get(path), 404)
    error_of(await client.delete(f"/snapshots/{root}"), 404)
    assert {record.measurement for record in await store.list()} == before


async def test_of_two_ids_of_one_machine_the_one_that_was_named_is_the_parent(client):
    made = await run(client, "a = 'twice in the tree'", mode="checkpointed")
    first = made["snapshot_id"]
    second = (await client.post("/snapshots", json={"execution_id": made["id"]})).json()["id"]

    async def parent(snapshot_id):
        return (await client.get(f"/snapshots/{snapshot_id}")).json()["parent_id"]

    assert [await parent(item) for item in (first, second)] == ["base", "base"]
    below = await run(client, "a += '!'", mode="checkpointed", snapshot_id=first)
    fork = (await run(client, "a += '?'", mode="branched", snapshot_id=first))["snapshot_id"]
    twig = await branch(client, first)
    moved = (await run(client, "a += ';'", mode="branched", branch_id=twig["id"]))["snapshot_id"]
    again = (await client.post("/snapshots", json={"execution_id": below["id"]})).json()["id"]
    kept = (await client.post(f"/snapshots/{first}/restore")).json()
    stepped = await run(client, "a += '.'", session=kept["session_id"])
    stood = (await client.post("/snapshots", json={"execution_id": stepped["id"]})).json()["id"]
    children = [below["snapshot_id"], fork, moved, again, stood]
    assert [await parent(item) for item in children] == [first] * 5
    assert (
        await parent((await run(client, "a = 0", mode="checkpointed", snapshot_id=second))["snapshot_id"])
        == second
    )

    assert (
        len((await client.delete(f"/snapshots/{second}", params={"cascade": "true"})).json()["snapshots"])
        == 2
    )
    listed = (await client.get("/snapshots", params={"parent_id": first})).json()["snapshots"]
    assert {item["id"] for item in listed} == set(children)
    assert set(error_of(await client.delete(f"/snapshots/{first}"), 409)["details"]["children"]) == set(
        children
    )
    await client.delete(f"/snapshots/{first}", params={"cascade": "true"})


async def test_two_accounts_may_have_the_same_machine(client, engine):
    fixed = {"seed": 5, "epoch": 1_800_000_000, "mode": "checkpointed"}
    ours = (await run(client, "shared = 'one machine'", **fixed))["snapshot_id"]
    bob = {"Authorization": "Bearer bob"}
    request = {"code": "shared = 'one machine'", "language": "python", **fixed}
    theirs = (await client.post("/execute", json=request, headers=bob)).json()["snapshot_id"]
    assert ours != theirs
    error_of(await client.get(f"/snapshots/{theirs}"), 404)
    error_of(await client.delete(f"/snapshots/{theirs}"), 404)
    error_of(await client.post(f"/snapshots/{theirs}/restore"), 404)
    error_of(await client.post("/branches", json={"snapshot_id": theirs}), 404)
    assert theirs not in (await client.get("/snapshots", params={"limit": 100})).text
    assert (await client.delete(f"/snapshots/{ours}")).status_code == 200
    asked = {"code": "print(shared)", "language": "python", "snapshot_id": theirs}
    assert (await client.post("/execute", json=asked, headers=bob)).json()["stdout"] == "one machine\n"
    measurement = (await client.get(f"/snapshots/{theirs}", headers=bob)).json()["measurement"]
    assert (await client.delete(f"/snapshots/{theirs}", headers=bob)).status_code == 200
    assert digest_from_hex(measurement) not in {r.measurement for r in await engine.library.store.list()}


async def test_branches_are_merged_or_say_why_not(client):
    root = await run(client, "echo base > both; echo base > shared", "bash", mode="checkpointed")
    sides = []
    for name, code in (("left", "echo l > left"), ("right", "echo r > right; rm both")):
        twig = await branch(client, root["snapshot_id"], metadata={"name": name})
        await run(client, code, "bash", path=f"/branches/{twig['id']}/execute")
        sides.append(twig["id"])
    response = await client.post("/branches/merge", json={"branch_ids": sides, "metadata": {"name": "both"}})
    assert response.status_code == 200, response.text
    merged = response.json()
    assert (merged["branch_ids"], merged["strategy"], merged["conflicts"]) == (sides, "three_way", [])
    assert (merged["kind"], merged["metadata"]) == ("merge", {"name": "both"})
    shown = await run(client, "ls", "bash", snapshot_id=merged["snapshot_id"])
    assert {"left", "right", "shared"} <= set(shown["stdout"].split())
    assert "both" not in shown["stdout"].split()

    for branch_id, word in zip(sides, ("ours", "theirs"), strict=True):
        await run(client, f"echo {word} > shared", "bash", path=f"/branches/{branch_id}/execute")
    refused = error_of(await client.post("/branches/merge", json={"branch_ids": sides}), 409)
    assert [conflict["path"] for conflict in refused["details"]["conflicts"]] == ["shared"]
    assert refused["code"] == "INVALID_REQUEST"
    settled = await client.post("/branches/merge", json={"branch_ids": sides, "strategy": "theirs"})
    shown = await run(client, "cat shared", "bash", snapshot_id=settled.json()["id"])
    assert shown["stdout"] == "theirs\n"
    error_of(await client.post("/branches/merge", json={"branch_ids": sides[:1]}), 400)
    error_of(await client.post("/branches/merge", json={"branch_ids": sides, "strategy": "guess"}), 400)


async def test_differences_and_proofs(client):
    first = (await run(client, "open('a', 'w').write('1')", mode="checkpointed"))["snapshot_id"]
    second = await run(client, "open('b', 'w').write('22')", mode="checkpointed", snapshot_id=first)
    diff = (await client.get(f"/snapshots/{second['snapshot_id']}/diff")).json()
    assert diff["against"] == first
    assert [entry["path"] for entry in diff["files"]["added"]] == ["b"]
    assert diff["changed_pages"] == len(diff["pages"]) > 0
    back = await client.get(f"/snapshots/{first}/diff", params={"against": second["snapshot_id"]})
    assert [entry["path"] for entry in back.json()["files"]["removed"]] == ["b"]

    place = f"/snapshots/{second['snapshot_id']}/proof"
    proof = proof_from_json((await client.get(place, params={"path": "b", "content": "true"})).json())
    assert proof.content == b"22"
    assert to_hex(proof.manifest.state.measurement()) == second["receipt"]["state_root"]
    assert proof_from_json((await client.get(place, params={"page": 3})).json()).index == 3
    error_of(await client.get(place), 400)


async def test_a_branch_name_of_the_store_holds_the_account(client, engine):
    root = (await run(client, "pass", mode="checkpointed"))["snapshot_id"]
    made = await branch(client, root)
    names = await engine.library.store.list_branches()
    assert store_branch("a" * 16, made["id"]) not in names
    assert sum(name.endswith(made["id"]) for name in names) == 1
    assert (await client.delete(f"/branches/{made['id']}")).status_code == 200
    assert not any(name.endswith(made["id"]) for name in await engine.library.store.list_branches())
