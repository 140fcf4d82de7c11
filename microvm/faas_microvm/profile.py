"""The machine profile: everything outside guest memory that decides what a job computes.

A profile is a value; its id is the SHA-256 of its canonical JSON. Machines with equal ids compute
equal outcomes from equal snapshots. Whatever changes the profile changes the id, on purpose.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import MissingPrerequisite
from faas_microvm import mailbox

EMULATOR = "qemu-system-x86_64"
FIRMWARE = Path("/usr/share/qemu/qboot.rom")
RAM_BYTES = 1 << 30
STOP_PORT = 0x505
ROOT_FILE_SYSTEM = "initramfs"
TRACE_INTERVAL_MS = 1000

ENVIRONMENT = {
    # QEMU computes x87 sine, cosine and tangent with the host's libm, and glibc picks another
    # variant where the CPU has FMA: hide it, so that every host takes the same one.
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA,-FMA4,-AVX2",
    "LC_ALL": "C",
    "PATH": "/usr/bin:/bin",
}
"""The whole environment of the machine's process; nothing is inherited."""

KERNEL_COMMAND_LINE = " ".join(
    (
        "nokaslr norandmaps tsc=reliable tsc_early_khz=1000000 mitigations=off",
        "random.trust_cpu=off random.trust_bootloader=off init_on_alloc=0",
        "cryptomgr.notests lsm=none audit=0 psi=0 quiet panic=-1 iomem=relaxed",
        f"memmap={mailbox.SIZE >> 20}M${mailbox.PHYSICAL:#x}",
    )
)

_MACHINE = ",".join(
    (
        "microvm,memory-backend=ram,suppress-vmdesc=on",
        # no device may have a timer pending when the machine stops: see devices.py
        "rtc=off,pit=off,pic=off,isa-serial=off",
        "auto-kernel-cmdline=off",
    )
)

MACHINE_ARGUMENTS = (
    *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
    *("-M", _MACHINE),
    *("-bios", str(FIRMWARE)),
    *("-accel", "tcg", "-icount", "shift=0,sleep=off"),
    *("-cpu", "Westmere-v1", "-smp", "1", "-m", f"{RAM_BYTES >> 20}M"),
    *("-rtc", "base=2026-01-01,clock=vm", "-seed", "1"),
    *("-device", f"pvpanic,ioport={STOP_PORT}", "-action", "panic=pause"),
    *("-global", "migration.send-configuration=off"),
)
"""What every machine of this profile is started with, booted or restored."""

_LIBM_PROGRAM = """
import hashlib, math, struct
state, values = 0x9E3779B97F4A7C15, []
for _ in range(20000):
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    values.append(math.ldexp((state >> 11) / 2**53 - 0.5, state % 61))
parts = b"".join(struct.pack("<ddd", math.sin(v), math.cos(v), math.tan(v)) for v in values)
print(hashlib.sha256(parts).hexdigest())
"""


@dataclass(frozen=True, slots=True)
class MachineProfile:
    """A counted single-CPU x86-64 microVM without network or disks."""

    emulator: str
    """Name and upstream version of the emulator."""
    arguments: tuple[str, ...]
    kernel_command_line: str
    kernel_sha256: str
    firmware_sha256: str
    libm_vector: str
    """SHA-256 over sine, cosine and tangent of 20,000 numbers, as the emulator's libm gives them."""
    ram_bytes: int
    root_file_system: str
    trace_interval_ms: int = TRACE_INTERVAL_MS
    """A run's state is measured each time that so much virtual time has passed, and when it ends."""
    format: int = 2

    @property
    def profile_id(self) -> Digest:
        """SHA-256 of the canonical JSON."""
        return sha256(json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode())


def detect_profile(kernel_sha256: str, kernel_arguments: str = "") -> MachineProfile:
    """The profile that this host's emulator gives. Raises MissingPrerequisite.

    `kernel_arguments` are those of the image's recipe, on top of everyone's.
    """
    return MachineProfile(
        emulator=emulator_version(),
        arguments=MACHINE_ARGUMENTS,
        kernel_command_line=f"{KERNEL_COMMAND_LINE} {kernel_arguments}".rstrip(),
        kernel_sha256=kernel_sha256,
        firmware_sha256=_firmware_sha256(),
        libm_vector=libm_vector(),
        ram_bytes=RAM_BYTES,
        root_file_system=ROOT_FILE_SYSTEM,
    )


@cache
def emulator_version() -> str:
    """Such as `qemu 7.2.22`. Raises MissingPrerequisite when there is none."""
    path = shutil.which(EMULATOR)
    if path is None:
        raise MissingPrerequisite(f"{EMULATOR} is not installed; run scripts/setup")
    text = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"version (\d+\.\d+\.\d+)", text)
    if match is None:
        raise MissingPrerequisite(f"{path} does not say its version")
    return f"qemu {match[1]}"


@cache
def libm_vector() -> str:
    """Computed by a fresh process under the machine's environment, with the libm that it loads."""
    program = [sys.executable, "-I", "-c", _LIBM_PROGRAM]
    done = subprocess.run(program, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _firmware_sha256() -> str:
    if not FIRMWARE.is_file():
        raise MissingPrerequisite(f"{FIRMWARE} is not installed; run scripts/setup")
    return sha256(FIRMWARE.read_bytes()).hex()
