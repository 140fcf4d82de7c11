"""Drives a node with py-substrate-interface as it is, and says what it saw. Run in an environment of its own.

Arguments: WebSocket URL, blueprint id, service id, seeds of customer (sr25519) and operator (ed25519).
"""

from __future__ import annotations

import json
import sys

from substrateinterface import Keypair, KeypairType, SubstrateInterface
from substrateinterface.exceptions import SubstrateRequestException


def main() -> None:
    url, blueprint, service, customer_seed, operator_seed = sys.argv[1:]
    customer = Keypair.create_from_seed(customer_seed)
    operator = Keypair.create_from_seed(operator_seed, crypto_type=KeypairType.ED25519)
    substrate = SubstrateInterface(url=url, ss58_format=42)
    seen: dict[str, object] = {"chain": substrate.chain}
    instance = substrate.query("Services", "Instances", [int(service)]).value
    seen["spec"] = substrate.runtime_version
    seen["owner_is_customer"] = instance["owner"] == customer.ss58_address
    seen["job"] = substrate.query("Services", "Blueprints", [int(blueprint)]).value[1]["jobs"][0]["metadata"][
        "name"
    ]
    status = substrate.query_map("Services", "ServiceStatus", [int(blueprint)])
    seen["services"] = [key.value for key, _ in status]

    def send(module: str, function: str, arguments: dict[str, object], who: Keypair) -> object:
        call = substrate.compose_call(module, function, arguments)
        extrinsic = substrate.create_signed_extrinsic(call, who, era={"period": 64})
        receipt = substrate.submit_extrinsic(extrinsic, wait_for_finalization=True)
        names = [event.value["event_id"] for event in receipt.triggered_events]
        return {"ok": receipt.is_success, "error": receipt.error_message, "events": names}

    arguments = {"service_id": int(service), "job": 0, "args": [{"Uint8": 1}]}
    seen["mistyped"] = send("Services", "call", arguments, customer)
    seen["not_permitted"] = send("Services", "call", arguments, operator)
    result = {"service_id": int(service), "call_id": 9, "result": []}
    seen["no_such_call"] = send("Services", "submit_result", result, operator)
    seen["remark"] = send("System", "remark", {"remark": "0x1234"}, operator)
    seen["nonce"] = substrate.get_account_nonce(customer.ss58_address)
    seen["paid"] = (
        int(substrate.query("System", "Account", [customer.ss58_address]).value["data"]["free"]) < 10**21
    )
    call = substrate.compose_call("System", "remark", {"remark": "0x"})
    try:
        substrate.submit_extrinsic(substrate.create_signed_extrinsic(call, customer, nonce=0))
        seen["stale"] = None
    except SubstrateRequestException as error:
        seen["stale"] = error.args[0]
    print(json.dumps(seen))


main()
