"""`faas operator register | status` where the endpoint is a Substrate node."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from faas_blueprint.errors import MissingPrerequisite
from faas_cli.console import note


def refuse_registration(keystore_path: Path | None, password: str, blueprint_id: int) -> None:
    """Make the keystore if there is none. Raises MissingPrerequisite, which says with what to register."""
    from faas_operator import keystore
    from faas_operator.settings import Settings

    path = keystore_path or Settings().keystore_path
    account = keystore.load(path, password) if path.exists() else keystore.create(path, password)
    note(f"receipts are signed by {account.address}, key in {path}")
    raise MissingPrerequisite(
        "staking and registering on a Substrate chain is done with Tangle's own tools or polkadot.js: from "
        f"the account of FAAS_ACCOUNT_FILE call services.register with blueprint {blueprint_id} and the key "
        f"0x{keystore.public_key(account).hex()}, then approve requests; see docs/substrate.md"
    )


async def read_status(rpc_url: str, blueprint_id: int, keystore_path: Path | None) -> dict[str, object]:
    """The operator's standing on-chain and the jobs in its store."""
    from faas_blueprint.digests import digest_from_hex
    from faas_blueprint.tangle.genesis import place_of
    from faas_operator import keystore
    from faas_operator.chain.substrate.rpc import SubstrateRpc
    from faas_operator.chain.substrate.runtime import SubstrateRuntime
    from faas_operator.chain.substrate.standing import read_standing, stored_account
    from faas_operator.settings import Secrets, Settings, database_url
    from faas_operator.store import Store

    settings = Settings()
    own = keystore.stored_address(keystore_path or settings.keystore_path)
    account = stored_account(settings.account_path)
    with closing(Store.open(database_url(settings, Secrets()))) as store:
        jobs = {str(state): count for state, count in store.count_by_state().items()}
    async with SubstrateRpc(rpc_url) as rpc:
        runtime = await SubstrateRuntime.connect(rpc)
        standing = await read_standing(runtime, await rpc.finalised(), blueprint_id, account)
    key = standing.registered_key
    return {
        "operator": own,
        "account": standing.address,
        "chain_id": place_of(digest_from_hex(runtime.genesis))[0],
        "registered": key is not None,
        "key_matches": key is not None and keystore.address_of(key) == own,
        "blueprint_id": blueprint_id,
        "services": list(standing.services),
        "balance": standing.balance,
        "jobs": jobs,
    }
