"""A double of a Substrate node of Tangle's chain: for faults, and since the real runtime does not run here.

It speaks a node's JSON-RPC over WebSocket and HTTP, with the runtime's real metadata; it decodes and checks
extrinsics, keeps nonces and balances, and makes blocks and forks when a test says so, or by itself every so
often. What of the runtime is in it stands in `pallets`.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import threading
from collections.abc import Callable
from typing import Any, Self

from aiohttp import WSMsgType, web
from blocks import Block, BlockTree
from extrinsics import InvalidTransaction, hash_of, parse_signed
from pallets import Jobs, fee_of
from runtime_metadata import Runtime
from storage import Storage

SPEC_VERSION, TRANSACTION_VERSION = 1403, 1
_METHOD_NOT_FOUND = -32601


class RpcFailure(Exception):
    """An error answer."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message} | ({} if data is None else {"data": data})


class SubstrateDevnetDouble:
    """One node on a port of its own. Its methods may be called from any thread."""

    def __init__(self, runtime: Runtime, genesis: Storage, jobs: Jobs) -> None:
        tree = BlockTree(runtime, genesis, jobs, (SPEC_VERSION, TRANSACTION_VERSION))
        self._start_with(runtime, tree, threading.RLock())

    def peer(self, lags: bool = False) -> SubstrateDevnetDouble:
        """Another node of the same chain, to be started: it has the same blocks and the same pool. One that
        lags stays at the blocks of this moment, until `catch_up`."""
        with self.lock:
            node = type(self).__new__(type(self))
            node._start_with(self.runtime, copy.copy(self.tree) if lags else self.tree, self.lock)
        return node

    def catch_up(self, with_: SubstrateDevnetDouble) -> None:
        """Have the blocks that another node has, from now on."""
        with self.lock:
            self.tree = with_.tree

    def _start_with(self, runtime: Runtime, tree: BlockTree, lock: threading.RLock) -> None:
        self.runtime = runtime
        self.tree = tree
        self.lock = lock
        self.port = 0
        self.refuse: set[str] = set()
        """Methods that are not answered: their connections are cut."""
        self.swallow = False
        """Whether extrinsics are taken and lost, as by a node that restarts."""
        self.answers_left: int | None = None
        """After so many answers no request is answered any more."""
        self.hears = False
        """Whether it does all the same what it does not answer."""
        self.nonsense: object = None
        """If any: after so many answers one is this, and those after it are right again."""
        self.requests: list[str] = []
        self._ids = itertools.count(1)
        self._watchers: dict[str, tuple[str, Any, web.WebSocketResponse]] = {}
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._pace: tuple[threading.Event, threading.Thread] | None = None

    @property
    def websocket_url(self) -> str:
        """Where clients connect."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def http_url(self) -> str:
        """The same, for single requests."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_producing()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def make_block(self, finalise: bool = True, include: bool = True) -> Block:
        """The next block."""
        with self.lock:
            block = self.tree.make(include=include)
            if finalise:
                self.tree.finalise()
        self._announce()
        return block

    def finalise(self) -> None:
        """Make the best block final."""
        with self.lock:
            self.tree.finalise()
        self._announce()

    def reorganise(self, lose: bool = False) -> Block:
        """Replace all blocks that are not final by a longer chain of empty ones; the newest of them.

        What was in them goes back to the pool, or is lost.
        """
        with self.lock:
            block, goal = self.tree.finalised, self.tree.best.number + 1
            while block.number < goal:
                block = self.tree.make(block, include=False)
            if lose:
                self.tree.pool.clear()
        self._announce()
        return block

    def drop_pool(self) -> int:
        """Forget what waits for a block; how many extrinsics that were."""
        with self.lock:
            count = len(self.tree.pool)
            self.tree.pool.clear()
        return count

    def produce(self, seconds: float, lag: int = 1) -> None:
        """Make a block every so often until the end, finality lagging some blocks behind."""
        stop = threading.Event()

        def run() -> None:
            while not stop.wait(seconds):
                self.make_block(finalise=False)
                with self.lock:
                    target = self.tree.at(max(self.tree.finalised.number, self.tree.best.number - lag))
                    self.tree.finalise(target)
                self._announce()

        self.stop_producing()
        self._pace = stop, threading.Thread(target=run, daemon=True)
        self._pace[1].start()

    def stop_producing(self) -> None:
        """No more blocks by itself, and none under way."""
        if self._pace is not None:
            stop, thread = self._pace
            stop.set()
            thread.join(10)
            self._pace = None

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application(client_max_size=64 << 20)
        app.router.add_route("*", "/", self._connection)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

        async def start() -> None:
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.port = runner.addresses[0][1]

        self._loop.run_until_complete(start())
        self._loop.call_soon(self._ready.set)  # from within, so that a stop is never before it
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.close()

    async def _connection(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self._socket(request)
        answer = self._answer_all(await request.json(), None)
        if answer is None:
            request.transport and request.transport.abort()
        return web.json_response(answer)

    async def _socket(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=64 << 20)
        await socket.prepare(request)
        async for message in socket:
            if message.type != WSMsgType.TEXT:
                continue
            answer = self._answer_all(json.loads(message.data), socket)
            if answer is None:
                request.transport and request.transport.abort()
                break
            await socket.send_json(answer)
            self._announce()
        gone = [key for key, (_, _, where) in self._watchers.items() if where is socket]
        for key in gone:
            del self._watchers[key]
        return socket

    def _answer_all(self, body: Any, socket: web.WebSocketResponse | None) -> Any:
        """The answer to a request or a batch; None when the connection is to be cut."""
        if isinstance(body, list):
            answers = [self._answer_all(item, socket) for item in body]
            return None if None in answers else answers
        method, params = str(body["method"]), body.get("params") or []
        self.requests.append(method)
        silent = self.answers_left == 0
        if silent and self.nonsense is not None:
            self.answers_left = None
            self._answer(method, params, body.get("id"), socket)
            return {"jsonrpc": "2.0", "id": body.get("id"), "result": self.nonsense}
        if method in self.refuse or (silent and not self.hears):
            return None
        if self.answers_left:
            self.answers_left -= 1
        answer = self._answer(method, params, body.get("id"), socket)
        return None if silent else answer

    def _answer(
        self, method: str, params: list[Any], name: Any, socket: web.WebSocketResponse | None
    ) -> dict[str, object]:
        head: dict[str, object] = {"jsonrpc": "2.0", "id": name}
        handler: Callable[..., Any] | None = getattr(self, f"rpc_{method}", None)
        try:
            with self.lock:
                if "_subscribe" in method or method == "author_submitAndWatchExtrinsic":
                    return head | {"result": self._subscribe(method, params, socket)}
                if "_unsubscribe" in method or method == "author_unwatchExtrinsic":
                    return head | {"result": self._watchers.pop(str(params[0]), None) is not None}
                if handler is None:
                    raise RpcFailure(_METHOD_NOT_FOUND, "Method not found")
                return head | {"result": handler(*params)}
        except RpcFailure as failure:
            return head | {"error": failure.error}
        except InvalidTransaction as error:
            failure = RpcFailure(error.code, error.message, error.data)
            return head | {"error": failure.error}

    def rpc_rpc_methods(self) -> object:
        names = sorted(name.removeprefix("rpc_") for name in dir(self) if name.startswith("rpc_"))
        ends = [name.replace("_subscribe", "_unsubscribe") for name in _NOTIFICATIONS]
        return {"methods": [*names, *_NOTIFICATIONS, *ends, "author_unwatchExtrinsic"]}

    def rpc_system_chain(self) -> str:
        return "Tangle devnet double"

    def rpc_system_name(self) -> str:
        return "substrate-double"

    def rpc_system_version(self) -> str:
        return "0"

    def rpc_system_properties(self) -> object:
        return {"ss58Format": 42, "tokenDecimals": 18, "tokenSymbol": "tTNT"}

    def rpc_system_chainType(self) -> str:
        return "Development"

    def rpc_system_health(self) -> object:
        return {"peers": 0, "isSyncing": False, "shouldHavePeers": False}

    def rpc_system_accountNextIndex(self, account: str) -> int:
        nonce: int = self.tree.best.state.get("System", "Account", account)["nonce"]
        key = self.tree.best.state.key("System", "Account", account)[-32:]
        waiting = {signed.nonce for signed in self.tree.pool.values() if signed.signer == key}
        while nonce in waiting:
            nonce += 1
        return nonce

    def rpc_state_getMetadata(self, _at: str | None = None) -> str:
        return "0x" + self.runtime.v14.hex()

    def rpc_state_getRuntimeVersion(self, _at: str | None = None) -> object:
        return {
            "specName": "tangle-testnet",
            "implName": "tangle-testnet",
            "authoringVersion": 1,
            "specVersion": SPEC_VERSION,
            "implVersion": 0,
            "apis": [["0x37e397fc7c91f5e4", 2], ["0xdf6acb689907609b", 5], ["0xbc9d89904f5b923f", 1]],
            "transactionVersion": TRANSACTION_VERSION,
            "stateVersion": 1,
        }

    rpc_chain_getRuntimeVersion = rpc_state_getRuntimeVersion

    def rpc_state_call(self, method: str, data: str, at: str | None = None) -> str:
        encoded = b""
        if method == "Metadata_metadata_versions":
            encoded = bytes([8]) + (14).to_bytes(4, "little") + (15).to_bytes(4, "little")
        elif method == "Metadata_metadata_at_version":
            version = int.from_bytes(bytes.fromhex(data[2:]), "little")
            known = {14: self.runtime.v14, 15: self.runtime.v15}.get(version)
            encoded = b"\0" if known is None else b"\1" + self.runtime.encode("Bytes", "0x" + known.hex())
        elif method == "AccountNonceApi_account_nonce":
            nonce: int = self._state(at).get("System", "Account", data)["nonce"]
            encoded = nonce.to_bytes(4, "little")
        else:
            raise RpcFailure(4003, f"Client error: Execution failed: {method} is not in the double")
        return "0x" + encoded.hex()

    def rpc_chain_getBlockHash(self, number: int | str | list[int] | None = None) -> object:
        if isinstance(number, list):
            return [self.rpc_chain_getBlockHash(item) for item in number]
        if number is None:
            return self.tree.best.hash
        block = self.tree.at(int(number, 16) if isinstance(number, str) else number)
        return None if block is None else block.hash

    def rpc_chain_getFinalizedHead(self) -> str:
        return self.tree.finalised.hash

    def rpc_chain_getHeader(self, at: str | None = None) -> object:
        block = self._block(at)
        return None if block is None else block.header()

    def rpc_chain_getBlock(self, at: str | None = None) -> object:
        block = self._block(at)
        if block is None:
            return None
        body = ["0x" + raw.hex() for raw in block.extrinsics]
        return {"block": {"header": block.header(), "extrinsics": body}, "justifications": None}

    def rpc_state_getStorage(self, key: str, at: str | None = None) -> str | None:
        value = self._state(at).entries.get(bytes.fromhex(key[2:]))
        return None if value is None else "0x" + value.hex()

    rpc_state_getStorageAt = rpc_state_getStorage

    def rpc_state_queryStorageAt(self, keys: list[str], at: str | None = None) -> object:
        changes = [[key, self.rpc_state_getStorage(key, at)] for key in keys]
        return [{"block": self._found(at).hash, "changes": changes}]

    def rpc_state_getKeysPaged(
        self, prefix: str, count: int, start: str | None = None, at: str | None = None
    ) -> list[str]:
        first = bytes.fromhex((start or "0x")[2:])
        keys = sorted(
            key
            for key in self._state(at).entries
            if key.startswith(bytes.fromhex(prefix[2:])) and (start is None or key > first)
        )
        return ["0x" + key.hex() for key in keys[:count]]

    def rpc_author_submitExtrinsic(self, raw: str) -> str:
        signed = self.tree.take(bytes.fromhex(raw[2:]))
        if self.swallow:
            del self.tree.pool[signed.hash]
        return signed.hash

    def rpc_payment_queryInfo(self, raw: str, _at: str | None = None) -> object:
        fee = fee_of(parse_signed(bytes.fromhex(raw[2:])))
        return {"weight": {"ref_time": 1, "proof_size": 0}, "class": "normal", "partialFee": str(fee)}

    def rpc_author_pendingExtrinsics(self) -> list[str]:
        return ["0x" + signed.raw.hex() for signed in self.tree.pool.values()]

    def _block(self, at: str | None) -> Block | None:
        return self.tree.best if at is None else self.tree.by_hash.get(at)

    def _found(self, at: str | None) -> Block:
        block = self._block(at)
        if block is None:
            raise RpcFailure(4003, f"Client error: UnknownBlock: header was not found for {at}")
        return block

    def _state(self, at: str | None) -> Storage:
        return self._found(at).state

    def _subscribe(self, method: str, params: list[Any], socket: web.WebSocketResponse | None) -> str:
        if socket is None:
            raise RpcFailure(_METHOD_NOT_FOUND, "Subscriptions take a WebSocket")
        kind, told = method, None
        if method == "author_submitAndWatchExtrinsic":
            told = [self.rpc_author_submitExtrinsic(params[0]), ""]
        elif method == "state_subscribeStorage":
            told = [params[0], ""]
        elif method not in _NOTIFICATIONS:
            raise RpcFailure(_METHOD_NOT_FOUND, "Method not found")
        key = f"s{next(self._ids)}"
        self._watchers[key] = (kind, told if told is not None else [""], socket)
        return key

    def _announce(self) -> None:
        """Tell watchers what is new to them."""
        self._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(self._tell()))

    async def _tell(self) -> None:
        messages: list[tuple[web.WebSocketResponse, object]] = []
        with self.lock:
            for key, (kind, told, socket) in list(self._watchers.items()):
                for result in self._news(kind, told):
                    params = {"subscription": key, "result": result}
                    message = {"jsonrpc": "2.0", "method": _NOTIFICATIONS[kind], "params": params}
                    messages.append((socket, message))
        for socket, message in messages:
            if not socket.closed:
                await socket.send_json(message)

    def _news(self, kind: str, told: list[Any]) -> list[object]:
        """What a watcher has not been told; `told` ends in what it was told last, which is changed here."""
        match kind:
            case "chain_subscribeNewHeads" | "chain_subscribeNewHead" | "chain_subscribeAllHeads":
                now = self.tree.best.hash
                news: list[object] = [self.tree.best.header()]
            case "chain_subscribeFinalizedHeads":
                now = self.tree.finalised.hash
                seen = (
                    self.tree.by_hash.get(told[-1], self.tree.by_hash[self.tree.finalised.parent])
                    if self.tree.finalised.number
                    else self.tree.finalised
                )
                news = [block.header() for block in self.tree.chain_to(self.tree.finalised, seen.number)] or [
                    self.tree.finalised.header()
                ]
            case "state_subscribeRuntimeVersion" | "chain_subscribeRuntimeVersion":
                now, news = "version", [self.rpc_state_getRuntimeVersion()]
            case "state_subscribeStorage":
                changes = [[key, self.rpc_state_getStorage(key)] for key in told[0]]
                now = json.dumps(changes)
                news = [{"block": self.tree.best.hash, "changes": changes}]
            case _:
                return self._progress(told)
        if told[-1] == now:
            return []
        told[-1] = now
        return news

    def _progress(self, told: list[Any]) -> list[object]:
        """What became of a watched extrinsic."""
        name, last = told
        in_best = _find(self.tree, name, self.tree.best)
        final = _find(self.tree, name, self.tree.finalised)
        status: object = "ready"
        if final is not None:
            status = {"finalized": final.hash}
        elif in_best is not None:
            status = {"inBlock": in_best.hash}
        if status == last:
            return []
        told[-1] = status
        if final is not None and last != {"inBlock": final.hash}:
            return [{"inBlock": final.hash}, status]
        return [status]


def _find(tree: BlockTree, name: str, head: Block) -> Block | None:
    for block in reversed(tree.chain_to(head, 0)):
        if any(hash_of(raw) == name for raw in block.extrinsics):
            return block
    return None


_NOTIFICATIONS = {
    "chain_subscribeNewHeads": "chain_newHead",
    "chain_subscribeNewHead": "chain_newHead",
    "chain_subscribeAllHeads": "chain_allHead",
    "chain_subscribeFinalizedHeads": "chain_finalizedHead",
    "state_subscribeRuntimeVersion": "state_runtimeVersion",
    "chain_subscribeRuntimeVersion": "state_runtimeVersion",
    "state_subscribeStorage": "state_storage",
    "author_submitAndWatchExtrinsic": "author_extrinsicUpdate",
}
