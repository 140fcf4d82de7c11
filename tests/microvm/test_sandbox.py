"""The machine's process as the host sees it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest
import pytest_asyncio

from faas_blueprint.errors import FatalError, InsufficientResources, MachineFailure
from faas_blueprint.job import make_job
from faas_microvm import mailbox, sandbox
from faas_microvm.devices import DeviceState
from faas_microvm.machine import Machine
from faas_microvm.sandbox import Cgroup, HostLimits
from faas_microvm.snapshot import load_snapshot, save_snapshot

pytestmark = pytest.mark.machine
in_session_loop = pytest.mark.asyncio(loop_scope="session")

LIMITS = HostLimits(cpu_seconds=60, memory_bytes=3 << 30)


@pytest_asyncio.fixture(loop_scope="session")
async def machine(engine):
    """A restored, paused machine."""
    snapshot = engine.library.base
    restored = await Machine.restore(snapshot.ram_fd, snapshot.devices, LIMITS)
    yield restored
    await restored.close()


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


@in_session_loop
async def test_no_capabilities_a_filter_and_no_privileges(machine):
    status = status_of(machine.pid)
    assert status["CapEff"] == status["CapPrm"] == status["CapBnd"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert "0" not in status["Uid"].split()


@in_session_loop
async def test_limits_of_the_host(engine, machine):
    limits = Path(f"/proc/{machine.pid}/limits").read_text()
    assert "Max cpu time              60" in limits
    assert "Max core file size        0" in limits
    cgroup = Cgroup.create(999, LIMITS)
    if cgroup is None:
        pytest.skip("this host lets us make no control groups")
    snapshot = engine.library.base
    async with await Machine.restore(snapshot.ram_fd, snapshot.devices, LIMITS, cgroup) as held:
        for folder in cgroup._folders:
            assert str(held.pid) in (folder / "cgroup.procs").read_text().split()
        assert f"faas-{os.getpid()}-999" in Path(f"/proc/{held.pid}/cgroup").read_text()
    cgroup.remove()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/faas-{os.getpid()}-999"))


def test_a_machine_has_one_processor():
    group = Cgroup.create(997, LIMITS)
    if group is None:
        pytest.skip("this host lets us make no control groups")
    found = [path for folder in group._folders for path in folder.glob("cpu.[cm][fa][sx]*")]
    values = {path.name: path.read_text().split() for path in found}
    group.remove()
    if not values:
        pytest.skip("this host lets us set no processor limit")
    limit = values.get("cpu.max") or [*values["cpu.cfs_quota_us"], *values["cpu.cfs_period_us"]]
    assert limit == ["100000", "100000"]


def test_a_host_without_control_groups_is_noted(tmp_path: Path, monkeypatch, caplog):
    monkeypatch.setattr(sandbox, "CGROUPS", tmp_path)
    with caplog.at_level("INFO"):
        assert Cgroup.create(996, LIMITS) is None
    assert "no control groups" in caplog.text
    (tmp_path / "memory").mkdir()
    (tmp_path / "pids").mkdir()
    with caplog.at_level("INFO"):
        group = Cgroup.create(996, LIMITS)
    assert group is not None
    assert "no processor limit" in caplog.text


def test_control_groups_of_the_dead_are_removed():
    process = subprocess.Popen(["true"])
    process.wait()
    first = Cgroup.create(998, LIMITS)
    if first is None:
        pytest.skip("this host lets us make no control groups")
    orphans = [folder.with_name(f"faas-{process.pid}-0") for folder in first._folders]
    for orphan in orphans:
        orphan.mkdir()
    Cgroup.create(998, LIMITS)
    assert not [orphan for orphan in orphans if orphan.exists()]
    first.remove()


@in_session_loop
async def test_namespaces_of_its_own(machine):
    for name in ("user", "mnt", "net", "pid", "ipc", "uts"):
        assert os.readlink(f"/proc/{machine.pid}/ns/{name}") != os.readlink(f"/proc/self/ns/{name}")


@in_session_loop
async def test_it_sees_no_files_of_the_host_but_programs(machine):
    root = Path(f"/proc/{machine.pid}/root")
    assert sorted(os.listdir(root)) == ["dev", "etc", "lib", "lib64", "proc", "usr"]
    assert os.listdir(root / "etc") == ["ld.so.cache"]


@in_session_loop
async def test_its_files_cannot_be_written(machine):
    mounts = [line.split() for line in Path(f"/proc/{machine.pid}/mounts").read_text().splitlines()]
    assert "/usr" in [mount[1] for mount in mounts]
    for source, place, kind, options, *_ in mounts:
        harmless = kind in ("proc", "devpts", "mqueue") or place.startswith("/dev")
        own = kind == "tmpfs"  # the sandbox's own, in memory
        assert "ro" in options.split(",") or harmless or own, (source, place, kind, options)


@in_session_loop
async def test_its_network_is_itself_alone(machine):
    lines = Path(f"/proc/{machine.pid}/net/dev").read_text().splitlines()[2:]
    assert [line.split(":")[0].strip() for line in lines] == ["lo"]
    assert Path(f"/proc/{machine.pid}/net/route").read_text().count("\n") == 1


@in_session_loop
async def test_its_descriptors_are_those_it_was_given(machine):
    allowed = ("/memfd:faas-", "socket:", "anon_inode:", "/dev/null", "pipe:")
    for descriptor in os.listdir(f"/proc/{machine.pid}/fd"):
        target = os.readlink(f"/proc/{machine.pid}/fd/{descriptor}")
        assert target.startswith(allowed), target


@in_session_loop
async def test_nothing_is_inherited_from_our_environment(engine, monkeypatch):
    monkeypatch.setenv("FAAS_KEYSTORE_PASSWORD", "secret")
    snapshot = engine.library.base
    async with await Machine.restore(snapshot.ram_fd, snapshot.devices, LIMITS) as machine:
        environment = Path(f"/proc/{machine.pid}/environ").read_bytes()
    assert b"secret" not in environment
    assert b"GLIBC_TUNABLES=glibc.cpu.hwcaps=-FMA" in environment


@in_session_loop
async def test_the_snapshots_memory_cannot_be_written(engine):
    descriptor = engine.library.base.ram_fd
    with pytest.raises(PermissionError):
        os.pwrite(descriptor, b"x", 0)
    with pytest.raises(PermissionError):
        os.ftruncate(descriptor, 0)


@in_session_loop
async def test_a_killed_machine_is_a_failure_and_the_next_run_is_fine(engine):
    task = asyncio.create_task(engine.run(make_job("python", "while True: pass")))
    while not engine.pool.machines:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.2)
    for machine in engine.pool.machines:
        os.kill(machine.pid, 9)
    with pytest.raises(MachineFailure, match=r"ended by itself|memory cannot be read"):
        await task
    assert (await engine.run(make_job("python", "print(2)"))).outcome.stdout.content == b"2\n"


@in_session_loop
async def test_a_request_that_is_cut_short_is_a_failure_not_a_result(machine):
    request = mailbox.encode_request(make_job("python", "1"), mailbox.Program(mailbox.Runner.PYTHON, b"1"))
    machine.memory.write(mailbox.PHYSICAL, request[:40])
    machine.memory.write(mailbox.PHYSICAL + 8, (20).to_bytes(8, "little"))
    await machine.resume()
    await machine.await_stop(30)
    report = machine.memory.read(mailbox.PHYSICAL + mailbox.RESULT_OFFSET, mailbox.RESULT_SIZE)
    result = mailbox.decode_result(report)
    assert (result.state, result.message) == (mailbox.State.BROKEN, "the request is cut short")


@in_session_loop
async def test_calls_out_of_turn_are_refused(machine):
    with pytest.raises(MachineFailure, match="is not running"):
        await machine.await_stop(1)
    await machine.close()
    with pytest.raises(MachineFailure, match="closed"):
        await machine.resume()


@in_session_loop
async def test_a_flipped_bit_in_a_stored_snapshot_is_an_error_that_names_it(engine, tmp_path: Path):
    folder = save_snapshot(engine.library.base, tmp_path)
    with load_snapshot(folder) as loaded:
        assert loaded.measured == engine.library.base.measured
    with (folder / "ram").open("r+b") as ram:
        ram.seek(0x1000000)
        byte = ram.read(1)
        ram.seek(0x1000000)
        ram.write(bytes([byte[0] ^ 1]))
    with pytest.raises(FatalError, match=f"{folder.name}.* is damaged"):
        load_snapshot(folder)
    (folder / "devices").write_bytes(b"nothing")
    with pytest.raises(FatalError, match=f"{folder.name} cannot be read"):
        load_snapshot(folder)


@in_session_loop
async def test_a_sandbox_that_hangs_does_not_hold_up_what_else_is_done(engine, monkeypatch):
    base = engine.library.base
    monkeypatch.setattr("faas_microvm.machine.START_SECONDS", 0.3)
    hanging_sandbox = ["sleep", "5"]  # never says its process
    monkeypatch.setattr(sandbox, "sandbox_command", lambda *_: hanging_sandbox)
    starting = asyncio.create_task(Machine.restore(base.ram_fd, base.devices, LIMITS))
    longest, last = 0.0, time.monotonic()
    while not starting.done():
        await asyncio.sleep(0.01)
        longest, last = max(longest, time.monotonic() - last), time.monotonic()
    with pytest.raises(InsufficientResources, match="TimeoutError"):
        starting.result()
    assert longest < 2


def test_device_state_with_a_pending_timer_is_refused(engine):
    stream = bytearray(engine.library.base.devices.stream)
    place = stream.find(b"\x04apic\x00\x00\x00\x00\x00\x00\x00\x03") + 13 + 173
    stream[place : place + 8] = (12345).to_bytes(8, "big")
    with pytest.raises(MachineFailure, match="timer pending"):
        DeviceState.from_stream(bytes(stream))


def test_device_state_that_is_cut_short_is_refused(engine):
    stream = engine.library.base.devices.stream
    for size in range(stream.find(b"\x04apic") + 13 + 173 + 8):
        with pytest.raises(MachineFailure):
            DeviceState.from_stream(stream[:size])


def test_a_machine_with_an_unreadable_report_is_not_under_way(engine):
    place = mailbox.PHYSICAL + mailbox.RESULT_OFFSET
    assert not engine.library.base.with_bytes(place, (99).to_bytes(4, "little")).is_under_way
    paused = int(mailbox.State.PAUSED).to_bytes(4, "little")
    assert engine.library.base.with_bytes(place, paused).is_under_way


def test_the_hosts_clock_is_not_part_of_the_device_state(engine):
    stream = bytearray(engine.library.base.devices.stream)
    place = stream.find(b"\x05timer") + 14
    stream[place : place + 8] = b"\x11" * 8
    stream[place + 16 : place + 24] = b"\x22" * 8
    assert DeviceState.from_stream(bytes(stream)) == engine.library.base.devices
