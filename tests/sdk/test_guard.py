"""Every reason not to send money, against a chain that says what the test tells it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from eth_abi.abi import encode
from eth_account import Account

from faas_sdk import FundsAtRisk, SubmissionRefused, abi
from faas_sdk.effects import Pause, Response
from faas_sdk.guard import Deployment, check_submission
from faas_sdk.operations import Inputs
from faas_sdk.payload import PARAMETERS
from faas_sdk.rpc import Rpc
from faas_sdk.submission import Payment, submit
from faas_sdk.tlv import Field, Kind, encode_schema
from faas_sdk.transactions import Sending

TANGLE = "0x" + "cf" * 20
OPERATOR = "0x" + "0b" * 20
MANAGER = "0x" + "3a" * 20
ACCOUNT = Account.from_key(b"\x01" * 32)
NOW = 1_000_000


@dataclass
class ScriptedChain:
    """An endpoint that answers from its fields; remembers what was asked, and what was sent."""

    code: str = "0x6000"
    created_at: int = NOW - 100
    ttl: int = 0
    pricing: int = abi.EVENT_DRIVEN
    status: int = abi.ACTIVE
    permitted: bool = True
    rate: int = 1000
    asset: str | None = None
    """None: the epoch knows native payment only."""
    schema: bytes = encode_schema(PARAMETERS)
    newer: bool = False
    """Whether the blueprint's definition has a metadataHash."""
    jobs: int = 1
    operators: tuple[str, ...] = (OPERATOR,)
    manager: str = abi.ZERO_ADDRESS
    needed: int | None = 1
    """How many results the manager asks for; None: it does not say."""
    aggregated: bool | None = False
    """Likewise, whether they must be aggregated."""
    balance: int = 10**18
    revert: str | None = None
    methods: list[str] = field(default_factory=list)

    def run(self, plan):
        """Carry a plan out against this chain."""
        import json

        reply = None
        while True:
            try:
                effect = plan.send(reply)
            except StopIteration as stop:
                return stop.value
            if isinstance(effect, Pause):
                reply = None
                continue
            body = json.loads(effect.content)
            self.methods.append(body["method"])
            answer = self.answer(body["method"], body["params"])
            answer = {"error": answer["error"]} if "error" in (answer or ()) else {"result": answer}
            reply = Response(200, {}, json.dumps({"id": body["id"], **answer}).encode())

    def answer(self, method, params):
        match method:
            case "eth_getCode":
                return self.code
            case "eth_chainId":
                return hex(31337)
            case "eth_getBlockByNumber":
                return {"timestamp": hex(NOW), "baseFeePerGas": "0x10"}
            case "eth_maxPriorityFeePerGas":
                return "0x1"
            case "eth_getBalance":
                return hex(self.balance)
            case "eth_estimateGas":
                if self.revert is not None:
                    return {"error": {"message": "execution reverted", "data": self.revert}}
                return hex(100_000)
            case "eth_call":
                found = self.view(bytes.fromhex(params[0]["data"][2:]))
                if found is None:
                    return {"error": {"message": "execution reverted", "data": "0x"}}
                return "0x" + found.hex()
        raise AssertionError(f"{method} must not be asked")

    def view(self, data: bytes) -> bytes | None:
        """None is a revert."""
        selector = data[:4]
        if selector == abi.GET_SERVICE_OPERATORS.selector:
            return encode(["address[]"], [self.operators])
        if selector == abi.GET_BLUEPRINT.selector:  # of the same name and arguments in both epochs
            head = (ACCOUNT.address, self.manager, 1)
            values = (*head, 1, self.pricing, True) if self.newer else (*head, 1, 1, self.pricing, True)
            return encode((abi.GET_BLUEPRINT if self.newer else abi.GET_BLUEPRINT_0_10).gives, [values])
        if selector == abi.GET_REQUIRED_RESULT_COUNT.selector:
            return None if self.needed is None else encode(["uint32"], [self.needed])
        if selector == abi.REQUIRES_AGGREGATION.selector:
            return None if self.aggregated is None else encode(["bool"], [self.aggregated])
        if selector == abi.GET_SERVICE.selector:
            service = (7, ACCOUNT.address, self.created_at, self.ttl, 0, 0, 1, 1, 0, 1)
            return encode([abi.SERVICE], [(*service, self.pricing, self.status, 0)])
        if selector == abi.IS_PERMITTED_CALLER.selector:
            return encode(["bool"], [self.permitted])
        if selector == abi.GET_JOB_EVENT_RATE.selector:
            return encode(["uint256"], [self.rate])
        if selector == abi.GET_SERVICE_PAYMENT_ASSET.selector:
            return encode(["address"], [self.asset])
        if selector == abi.FACET_FOR_SELECTOR.selector:
            return encode(["address"], [TANGLE if self.routes(data[4:8]) else abi.ZERO_ADDRESS])
        if selector == abi.GET_BLUEPRINT_DEFINITION.selector:
            return self.definition()
        raise AssertionError(f"{selector.hex()} must not be asked")

    def routes(self, selector: bytes) -> bool:
        if selector == abi.GET_SERVICE_PAYMENT_ASSET.selector:
            return self.asset is not None
        assert selector == abi.APPROVE_WITH_PARAMETERS
        return self.newer

    def definition(self) -> bytes:
        config = (1, self.pricing, 1, 0, 0, 0, self.rate)
        jobs = [("execute", "", "", self.schema, b"")] * self.jobs
        head = ("urn:x", b"\1" * 32) if self.newer else ("urn:x",)
        # With what follows the jobs in a real definition, to prove that it need not be known.
        kind = (abi.DEFINITION if self.newer else abi.DEFINITION_0_10)[:-1] + ",bytes,bytes,uint8[])"
        return encode([kind], [(*head, TANGLE, 1, True, config, ("",) * 9, jobs, b"\2", b"\2", [1])])


def check(chain: ScriptedChain, maximum: int | None = None, value: int | None = None):
    at = Deployment(Rpc("http://chain"), TANGLE)
    return chain.run(check_submission(at, 3, ACCOUNT.address, maximum, value_wei=value))


def send(chain: ScriptedChain):
    at, sending = Deployment(Rpc("http://chain"), TANGLE), Sending(ACCOUNT, 1.0, 0.1)
    return chain.run(submit(at, sending, 3, Inputs(0, b"\1"), Payment(), lambda _: None))


@pytest.mark.parametrize("newer", [False, True], ids=["0.10", "0.19"])
def test_terms_of_an_event_driven_service(newer):
    terms = check(ScriptedChain(newer=newer, asset=abi.ZERO_ADDRESS if newer else None))
    assert (terms.price_wei, terms.service.blueprint_id) == (1000, 7)


@pytest.mark.parametrize("pricing", [0, 1], ids=["pay once", "subscription"])
def test_nothing_is_sent_to_a_service_that_is_not_event_driven(pricing):
    chain = ScriptedChain(pricing=pricing)
    assert check(chain, maximum=0).price_wei == 0


@pytest.mark.parametrize(
    ("reason", "chain"),
    [
        ("no_contract", ScriptedChain(code="0x")),
        ("unknown_service", ScriptedChain(created_at=0)),
        ("service_ended", ScriptedChain(status=2)),
        ("service_expired", ScriptedChain(ttl=99)),
        ("not_permitted", ScriptedChain(permitted=False)),
        ("schema_mismatch", ScriptedChain(jobs=0)),
        ("schema_mismatch", ScriptedChain(schema=encode_schema(PARAMETERS[:-1]))),
        ("schema_mismatch", ScriptedChain(schema=encode_schema((Field(Kind.STRING, "prompt"),)))),
        ("schema_mismatch", ScriptedChain(schema=b"\1\0\0")),
        ("price_too_high", ScriptedChain(rate=2001)),
        ("foreign_asset", ScriptedChain(asset="0x" + "aa" * 20)),
        ("ends_soon", ScriptedChain(ttl=159)),
        ("no_operator", ScriptedChain(operators=())),
        ("too_few_operators", ScriptedChain(manager=MANAGER, needed=2)),
        ("aggregated", ScriptedChain(manager=MANAGER, aggregated=True)),
        ("aggregated", ScriptedChain(manager=MANAGER, aggregated=None, newer=True)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_reasons_not_to_send(reason, chain):
    with pytest.raises(SubmissionRefused) as caught:
        check(chain, maximum=2000)
    assert caught.value.reason == caught.value.code == reason
    assert isinstance(caught.value, FundsAtRisk) == (reason in AT_RISK)


AT_RISK = {"no_contract", "ends_soon", "no_operator", "too_few_operators", "aggregated"}


@pytest.mark.parametrize(
    "chain",
    [
        ScriptedChain(manager=MANAGER),
        ScriptedChain(manager=MANAGER, needed=2, operators=(OPERATOR, TANGLE)),
        ScriptedChain(manager=MANAGER, needed=0),
        ScriptedChain(manager=MANAGER, needed=None, newer=True),
        ScriptedChain(manager=MANAGER, aggregated=None),  # the older epoch then takes plain results
        ScriptedChain(ttl=160),
    ],
)
def test_a_job_that_can_be_completed(chain):
    assert check(chain).price_wei == 1000


@pytest.mark.parametrize("pricing", [0, 1], ids=["pay once", "subscription"])
def test_any_value_is_refused_where_jobs_are_free(pricing):
    with pytest.raises(FundsAtRisk) as caught:
        check(ScriptedChain(pricing=pricing), value=1)
    assert (caught.value.reason, caught.value.details["value_wei"]) == ("value_swallowed", 1)
    assert check(ScriptedChain(pricing=pricing), value=0).price_wei == 0


@pytest.mark.parametrize("value", [0, 999, 1001])
def test_only_the_exact_amount_is_sent(value):
    with pytest.raises(SubmissionRefused, match="exactly 1000 wei") as caught:
        check(ScriptedChain(), value=value)
    assert caught.value.reason == "wrong_value"
    assert check(ScriptedChain(), value=1000).price_wei == 1000


def test_a_schema_of_another_order_is_another_schema():
    swapped = (PARAMETERS[1], PARAMETERS[0], *PARAMETERS[2:])
    with pytest.raises(SubmissionRefused, match="other inputs"):
        check(ScriptedChain(schema=encode_schema(swapped)))
    renamed = (replace(PARAMETERS[0], name="image"), *PARAMETERS[1:])
    with pytest.raises(SubmissionRefused, match="other inputs"):
        check(ScriptedChain(schema=encode_schema(renamed)))


def test_the_last_minute_of_a_service_and_an_empty_schema():
    assert check(ScriptedChain(ttl=160)).price_wei == 1000
    assert check(ScriptedChain(schema=b"")).price_wei == 1000


@pytest.mark.parametrize(
    ("reason", "chain"),
    [
        ("insufficient_funds", ScriptedChain(balance=999)),
        ("insufficient_funds", ScriptedChain(balance=1000 + 125_000)),
        ("reverts", ScriptedChain(revert="0x" + abi.keccak(text="EnforcedPause()")[:4].hex())),
    ],
    ids=["price", "gas", "revert"],
)
def test_nothing_is_signed_or_sent(reason, chain):
    with pytest.raises(SubmissionRefused) as caught:
        send(chain)
    assert caught.value.reason == reason
    assert "eth_sendRawTransaction" not in chain.methods
    if reason == "reverts":
        assert "EnforcedPause" in str(caught.value)


class ForgetfulChain(ScriptedChain):
    """Takes a transaction, loses the answer, and then refuses the same one as spent."""

    def answer(self, method, params):
        match method:
            case "eth_getTransactionCount":
                return "0x0"
            case "eth_sendRawTransaction":
                return {"error": {"message": "nonce too low"}}
            case "eth_getTransactionByHash":
                return {"hash": params[0]} if self.jobs == 1 else None
            case "eth_getTransactionReceipt":
                log = {
                    "address": TANGLE,
                    "topics": [abi.JOB_SUBMITTED, abi.word(3), abi.word(9)],
                    "data": "0x",
                    "blockNumber": "0x5",
                    "transactionHash": params[0],
                }
                return {"status": "0x1", "logs": [log]}
        return super().answer(method, params)


def test_a_job_that_was_taken_though_the_answer_was_lost():
    call = send(ForgetfulChain())
    assert (call.call_id, call.block, call.price_wei) == (9, 5, 1000)


def test_a_transaction_that_no_one_has_is_refused():
    with pytest.raises(SubmissionRefused, match="nonce too low") as caught:
        send(ForgetfulChain(jobs=2))
    assert caught.value.reason == "rejected"
