"""`faas dispute --propose`: sends to the service manager what operators have witnessed, as anyone may."""

from __future__ import annotations

from dataclasses import dataclass

from faas_blueprint.errors import FaaSError, InvalidRequest
from faas_blueprint.receipt import Address
from faas_blueprint.tangle.genesis import is_substrate
from faas_verifier.blobs import Endpoints
from faas_verifier.disputed_call import Dispute
from faas_verifier.rpc import Rpc
from faas_verifier.witnesses import Witnessed, gather_witnesses

_ON_SUBSTRATE = (
    "on a Substrate chain only the accounts that the blueprint names may propose a slash (Services.slash): "
    "give them the evidence"
)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What became of one refutation's slash."""

    operator: Address
    proposed: bool
    """Whether a slash stands proposed now, by us or by another."""
    reason: str
    witnesses: tuple[Address, ...] = ()
    transaction: str | None = None
    """Ours, if it was ours."""

    def to_json(self) -> dict[str, object]:
        """Null where nothing was sent."""
        return {
            "operator": self.operator,
            "proposed": self.proposed,
            "reason": self.reason,
            "witnesses": list(self.witnesses),
            "transaction": self.transaction,
        }


async def propose_all(dispute: Dispute, rpc_url: str, endpoints: Endpoints, key: str) -> list[Proposal]:
    """Prove every refutation that enough operators have witnessed. What fails is said, not raised."""
    manager = dispute.contested.manager
    proposals = []
    async with Rpc(rpc_url) as rpc:
        for refutation in dispute.refutations:
            if manager is None:
                on_substrate = is_substrate(refutation.report.call.chain_id)
                reason = _ON_SUBSTRATE if on_substrate else "the service's blueprint has no service manager"
                proposals.append(Proposal(refutation.report.operator, False, reason))
                continue
            try:
                witnessed = await gather_witnesses(rpc, manager, refutation, endpoints)
                proposals.append(await _propose(witnessed, manager, rpc_url, key))
            except FaaSError as error:
                proposals.append(Proposal(refutation.report.operator, False, error.message))
    return proposals


async def _propose(witnessed: Witnessed, manager: Address, rpc_url: str, key: str) -> Proposal:
    operator, witnesses = witnessed.refutation.report.operator, tuple(witnessed.signatures)
    if witnessed.proposed:
        return Proposal(operator, True, "a slash was proposed already")
    if witnessed.missing is not None:
        return Proposal(operator, False, witnessed.missing, witnesses)
    transaction = await _send(witnessed, manager, rpc_url, key)
    return Proposal(operator, True, f"proposed in transaction {transaction}", witnesses, transaction)


async def _send(witnessed: Witnessed, manager: Address, rpc_url: str, key: str) -> str:
    from eth_account import Account

    from faas_operator.chain.rpc import Rpc as SenderRpc
    from faas_operator.chain.sender import TransactionSender

    try:
        account = Account.from_key(key)
    except ValueError as error:
        raise InvalidRequest("--key is not a private key") from error
    chain_id = witnessed.refutation.report.call.chain_id
    async with SenderRpc(rpc_url) as rpc:
        return (
            await TransactionSender(rpc, account, chain_id).send(manager, witnessed.proof())
        ).transaction_hash
