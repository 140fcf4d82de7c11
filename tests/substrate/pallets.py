"""What the runtime does with the calls that this project makes, and with the blocks around them.

Written after the pallets' documented rules; only what is here is there. No contract hooks run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from extrinsics import STALE, UNPAYABLE, InvalidTransaction, Signed
from field_check import TypeMismatch, check_types, read_fields, read_types
from runtime_metadata import Runtime
from runtime_values import Call, constant, decode_call, encode_event, error_number
from scalecodec.utils.ss58 import ss58_encode
from storage import Storage

FEE_PER_EXTRINSIC = 10**15
FEE_PER_BYTE = 10**10
_INFO = {"weight": {"ref_time": 1, "proof_size": 0}, "class": "Normal", "pays_fee": "Yes"}


Jobs = dict[int, list[tuple[bytes, bytes]]]
"""Of each blueprint's jobs the types of parameters and result, as Vec<FieldType>."""


class Dispatched(Exception):
    """A call failed: its fee is paid, nothing else has changed."""

    def __init__(self, pallet: str | None, name: str) -> None:
        super().__init__(name)
        self.pallet, self.name = pallet, name


@dataclass
class Execution:
    """One block under way: its state, and the events so far, encoded."""

    runtime: Runtime
    state: Storage
    jobs: Jobs
    events: list[bytes]
    extrinsic: int = 0

    def emit(self, pallet: str, name: str, **fields: object) -> None:
        """Add an event of the present extrinsic."""
        self.events.append(encode_event(self.runtime, self.extrinsic, pallet, name, **fields))

    def check(self, signed: Signed, future: bool = False) -> None:
        """Whether the signer may send it: with `future` later, too. Raises InvalidTransaction."""
        account = self.state.get("System", "Account", _id(signed.signer))
        if signed.nonce < account["nonce"]:
            raise InvalidTransaction(*STALE)
        if signed.nonce > account["nonce"] and not future:
            raise InvalidTransaction("Invalid Transaction", "Transaction will be valid in the future")
        if account["data"]["free"] < fee_of(signed):
            raise InvalidTransaction(*UNPAYABLE)

    def apply(self, signed: Signed) -> None:
        """Charge, count and carry out an extrinsic that was checked."""
        who, fee = _id(signed.signer), fee_of(signed)
        account = self.state.get("System", "Account", who)
        account["nonce"] += 1
        account["data"]["free"] -= fee
        self.state.put("System", "Account", who, account)
        self.emit("Balances", "Withdraw", who=who, amount=fee)
        before, kept = self.state.copy(), len(self.events)
        try:
            self._dispatch(who, decode_call(self.runtime, signed.call))
        except Dispatched as failure:
            self.state.entries = before.entries
            del self.events[kept:]
            self._paid(who, fee)
            self.emit("System", "ExtrinsicFailed", dispatch_error=self._error(failure), dispatch_info=_INFO)
            return
        self._paid(who, fee)
        self.emit("System", "ExtrinsicSuccess", dispatch_info=_INFO)

    def _paid(self, who: str, fee: int) -> None:
        self.emit("TransactionPayment", "TransactionFeePaid", who=who, actual_fee=fee, tip=0)

    def _error(self, failure: Dispatched) -> object:
        if failure.pallet is None:
            return failure.name
        index, error = error_number(self.runtime, failure.pallet, failure.name)
        return {"Module": {"index": index, "error": "0x" + bytes([error, 0, 0, 0]).hex()}}

    def _dispatch(self, who: str, call: Call) -> None:
        match call.pallet, call.name:
            case "System", "remark":
                return
            case "Services", "call":
                self._call(who, call)
            case "Services", "submit_result":
                self._submit_result(who, call)
            case "Credits", "burn":
                self._burn(who, int(call.values["amount"]))
            case "Credits", "claim_credits":  # any amount: what staking earns is not in here
                self.emit(
                    "Credits", "CreditsClaimed", who=who, amount_claimed=call.values["amount_to_claim"],
                    offchain_account_id=call.values["offchain_account_id"],
                )  # fmt: skip
            case _:
                raise NotImplementedError(f"{call.pallet}.{call.name} is not in the double")

    def _call(self, who: str, call: Call) -> None:
        service_id, job = call.values["service_id"], call.values["job"]
        service = self._service(service_id)
        if who not in (service["owner"], *service["permitted_callers"]):
            raise Dispatched(None, "BadOrigin")
        self._check(call.raw["args"], self._job(service["blueprint"], job, "params"))
        call_id = self.state.next_number("NextJobCallId")
        stored = _u64(service_id) + bytes([job]) + call.raw["args"]
        self.state.entries[self.state.key("Services", "JobCalls", service_id, call_id)] = stored
        self.emit(
            "Services", "JobCalled", caller=who, service_id=service_id, call_id=call_id, job=job,
            args=call.raw["args"],
        )  # fmt: skip

    def _submit_result(self, who: str, call: Call) -> None:
        service_id, call_id = call.values["service_id"], call.values["call_id"]
        stored = self.state.entries.get(self.state.key("Services", "JobCalls", service_id, call_id))
        if stored is None:
            raise Dispatched("Services", "ServiceOrJobCallNotFound")
        blueprint_id = self._service(service_id)["blueprint"]
        if self.state.get("Services", "Operators", blueprint_id, who) is None:
            raise Dispatched("Services", "NotRegistered")
        job = stored[8]
        self._check(call.raw["result"], self._job(blueprint_id, job, "result"))
        kept = _u64(service_id) + _u64(call_id) + call.raw["result"]  # whoever came before is overwritten
        self.state.entries[self.state.key("Services", "JobResults", service_id, call_id)] = kept
        self.emit(
            "Services", "JobResultSubmitted", operator=who, service_id=service_id, call_id=call_id, job=job,
            result=call.raw["result"],
        )  # fmt: skip

    def _burn(self, who: str, amount: int) -> None:
        account = self.state.get("System", "Account", who)
        if amount == 0:
            raise Dispatched("Credits", "AmountZero")
        if account["data"]["free"] < amount:
            raise Dispatched("Credits", "InsufficientTntBalance")
        account["data"]["free"] -= amount
        self.state.put("System", "Account", who, account)
        granted = amount * int.from_bytes(constant(self.runtime, "Credits", "BurnConversionRate"), "little")
        self.emit("Credits", "CreditsGrantedFromBurn", who=who, tnt_burned=amount, credits_granted=granted)

    def _service(self, service_id: int) -> dict[str, Any]:
        service: dict[str, Any] | None = self.state.get("Services", "Instances", service_id)
        if service is None:
            raise Dispatched("Services", "ServiceNotFound")
        return service

    def _job(self, blueprint_id: int, job: int, part: str) -> list[tuple[str, Any]]:
        jobs = self.jobs[blueprint_id]
        if job >= len(jobs):
            raise Dispatched("Services", "JobDefinitionNotFound")
        return read_types(jobs[job][0 if part == "params" else 1])

    def _check(self, fields: bytes, types: list[tuple[str, Any]]) -> None:
        try:
            check_types(read_fields(fields), types)
        except TypeMismatch as error:
            raise Dispatched("Services", "TypeCheck") from error


def check_bounds(runtime: Runtime, signed: Signed) -> None:
    """Refuse what the runtime could not even decode. Raises InvalidTransaction."""
    call = decode_call(runtime, signed.call)
    for name in ("args", "result"):
        if call.pallet == "Services" and name in call.raw:
            read_fields(call.raw[name])


def fee_of(signed: Signed) -> int:
    """What an extrinsic costs, in the smallest unit."""
    return FEE_PER_EXTRINSIC + FEE_PER_BYTE * len(signed.raw) + signed.tip


def _u64(number: int) -> bytes:
    return number.to_bytes(8, "little")


def _id(key: bytes) -> str:
    return str(ss58_encode(key, 42))
