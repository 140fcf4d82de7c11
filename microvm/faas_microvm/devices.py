"""Device state as the machine saves it, made comparable.

The stream holds registers and devices, and three numbers of the instruction counter's clock. Two
of them are readings of the host's clock, which a counted machine never uses: they are zeroed. The
third is exact as long as no timer was pending when the machine stopped (a pending one lets the host
skip idle time or not, as it happens): that is checked here, so a race can never reach a receipt.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from faas_blueprint.digests import Digest, sha256
from faas_blueprint.errors import MachineFailure

_TIMER = b"\x05timer\x00\x00\x00\x00\x00\x00\x00\x02"
_ICOUNT = b"\x05\x0ctimer/icount\x00\x00\x00\x01"
_APIC = b"\x04apic\x00\x00\x00\x00\x00\x00\x00\x03"
_CPU = b"\x03cpu\x00\x00\x00\x00\x00\x00\x00\x0c"
_REGISTERS = (
    "rax",
    "rcx",
    "rdx",
    "rbx",
    "rsp",
    "rbp",
    "rsi",
    "rdi",
    *(f"r{n}" for n in range(8, 16)),
    "rip",
    "rflags",
)
"""The processor's section begins with these, each a big-endian u64."""
_APIC_TIMER_EXPIRY = 173
"""Offset of the expiry in the interrupt controller's section: -1 when no timer is pending."""


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The canonical stream of a stopped machine, and its clock."""

    stream: bytes
    virtual_ns: int
    """Guest time since power-on; one instruction is one nanosecond, idle time counts."""

    def digest(self) -> Digest:
        """SHA-256 of the canonical stream."""
        return sha256(self.stream)

    def registers(self) -> dict[str, int]:
        """The processor's general registers where it stopped, by name."""
        start = _find(bytearray(self.stream), _CPU, "processor")
        return dict(
            zip(_REGISTERS, struct.unpack_from(f">{len(_REGISTERS)}Q", self.stream, start), strict=True)
        )

    @classmethod
    def from_stream(cls, raw: bytes) -> DeviceState:
        """Canonicalise what the machine wrote. Raises MachineFailure when it cannot be canonical."""
        stream = bytearray(raw)
        try:
            virtual_ns = _canonicalise(stream)
        except struct.error as error:
            raise MachineFailure("the device state is cut short") from error
        return cls(bytes(stream), virtual_ns)


def _canonicalise(stream: bytearray) -> int:
    """In place; answers the clock."""
    timer = _find(stream, _TIMER, "clock")
    struct.pack_into(">q", stream, timer, 0)
    struct.pack_into(">q", stream, timer + 16, 0)
    if stream[timer + 24 : timer + 24 + len(_ICOUNT)] != _ICOUNT:
        raise MachineFailure("the device state holds no instruction counter")
    bias, count = struct.unpack_from(">qq", stream, timer + 24 + len(_ICOUNT))
    expiry = _find(stream, _APIC, "interrupt controller") + _APIC_TIMER_EXPIRY
    if struct.unpack_from(">q", stream, expiry)[0] != -1:
        raise MachineFailure("the machine stopped with a timer pending; its clock is not exact")
    return int(bias + count)


def _find(stream: bytearray, pattern: bytes, name: str) -> int:
    start = stream.find(pattern)
    if start < 0 or stream.find(pattern, start + 1) >= 0:
        raise MachineFailure(f"the device state does not hold exactly one {name}")
    return start + len(pattern)
