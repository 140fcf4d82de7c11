"""Whom a node asks for what it lacks: never at an address that a stranger may have chosen for its sake."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from faas_blueprint.digests import sha256
from faas_blueprint.errors import BlobUnavailable, ChainUnavailable
from faas_blueprint.operation import Blob
from faas_blueprint.tangle import protocol
from faas_operator import peers as peers_module
from faas_operator.blob_fetching import BlobFetcher
from faas_operator.peers import Peer, Peers, ask_peer, is_public
from faas_operator.settings import Settings
from faas_operator.store import Store

BYTES = b"x" * 5000
BLOB = Blob(len(BYTES), sha256(BYTES))


class ApiDouble:
    """An operator's API that answers every request alike."""

    def __init__(self, answer=lambda: web.Response(body=BYTES)) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.port = 0

    @asynccontextmanager
    async def served(self):
        async def handle(request: web.Request) -> web.StreamResponse:
            self.asked.append(request.path)
            return self.answer()

        app = web.Application()
        app.router.add_get("/{path:.*}", handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            await runner.cleanup()

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"


class Registry:
    """What is registered, as a chain tells it."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.away = False
        self.reads = 0

    async def operator_addresses(self, service_id: int, first_block: int) -> list[str]:
        self.reads += 1
        if self.away:
            raise ChainUnavailable("no RPC answers")
        return self.addresses


def peers_of(registry, tmp_path, **settings):
    return Peers(Settings(home=tmp_path, **settings), registry)


@pytest.mark.parametrize(
    ("host", "public"),
    [
        *((host, True) for host in ("8.8.8.8", "2606:4700:4700::1111")),
        *(
            (host, False)
            for host in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254")
        ),
        *((host, False) for host in ("0.0.0.0", "100.64.0.1", "224.0.0.1", "255.255.255.255", "198.18.0.1")),
        *((host, False) for host in ("::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1")),
        *((host, False) for host in ("::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::")),
    ],
)
def test_addresses_of_the_open_internet(host, public):
    assert is_public(host) is public


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "0x7f.1", "2130706433", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"],
)
async def test_a_registered_address_of_this_host_is_never_connected_to(host):
    """However it is written, and also where a name says so."""
    async with ApiDouble().served() as api:
        origin = f"http://{host}:{api.port}"
        assert await ask_peer(Peer(origin, is_named=False), "/blobs/1", 10**6) is None
        assert api.asked == []
        if host in ("127.0.0.1", "localhost"):
            assert await ask_peer(Peer(origin, is_named=False, may_be_private=True), "/x", 10**6) == BYTES
            assert await ask_peer(Peer(origin, is_named=True), "/x", 10**6) == BYTES


async def test_a_name_that_leads_to_several_places_must_lead_to_public_ones_only(monkeypatch):
    """And what was looked at is what is connected to: the name is not resolved a second time."""
    answers = [("93.184.216.34", 80), ("127.0.0.1", 80)]
    asked = []

    def resolve(host, port, *_, **__):
        asked.append(host)
        kind = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*kind, (address, port)) for address, _ in answers]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    async with ApiDouble().served() as api:
        peer = Peer(f"http://operator.example:{api.port}", is_named=False)
        assert await ask_peer(peer, "/x", 10) is None
        assert (asked, api.asked) == (["operator.example"], [])


@pytest.mark.parametrize("to", ["http://127.0.0.1:1/", "/elsewhere"])
async def test_nobody_is_followed_to_another_place(to):
    async with ApiDouble(lambda: web.Response(status=302, headers={"Location": to})).served() as api:
        for peer in (Peer(api.origin, True), Peer(api.origin, False, may_be_private=True)):
            assert await ask_peer(peer, "/x", 10**6) is None
        assert api.asked == ["/api/v1/x"] * 2


async def test_no_more_is_taken_than_there_should_be(monkeypatch):
    monkeypatch.setattr(peers_module, "REGISTERED_MOST_BYTES", 10**6)
    async with ApiDouble(lambda: web.Response(body=bytes(8 << 20))).served() as api:
        named = await ask_peer(Peer(api.origin, True), "/x", 10)
        assert 10 < len(named) < 2 << 20
        registered = await ask_peer(Peer(api.origin, False, may_be_private=True), "/x", 1 << 30)
        assert 10**6 < len(registered) < 4 << 20


async def test_only_origins_are_asked_and_not_too_many(tmp_path):
    bad = (
        "",
        "operator.example",
        "ftp://operator.example",
        "ws://operator.example:9944",
        "file:///etc/passwd",
        "http://user:secret@operator.example",
        "http://operator.example/path",
        "http://operator.example?query",
        "http://operator.example#x",
        "http://a\r\nb",
        "http://operator.example:80:90",
        "http://" + "a" * 300,
    )
    found = await peers_of(Registry(*bad, "https://good.example/"), tmp_path).of_service(1)
    assert [(peer.origin, peer.is_named, peer.may_be_private) for peer in found] == [
        ("https://good.example", False, False)
    ]
    many = Registry(*(f"https://operator-{number}.example" for number in range(100)))
    assert len(await peers_of(many, tmp_path).of_service(1)) == peers_module.REGISTERED_AT_MOST


async def test_named_peers_come_first_and_registered_ones_can_be_left_out(tmp_path):
    registry = Registry("https://a.example", "https://named.example")
    peers = peers_of(registry, tmp_path, blob_peers="https://named.example")
    assert [peer.origin for peer in await peers.of_service(1)] == [
        "https://named.example",
        "https://a.example",
    ]
    await peers.of_service(1)
    assert registry.reads == 1
    registry.away = True
    assert [peer.is_named for peer in await peers.of_service(2)] == [True]
    assert len(await peers.of_service(1)) == 2, "what was known stays"
    alone = peers_of(registry, tmp_path, blob_peers="https://named.example", registered_peers=False)
    before = registry.reads
    assert len(await alone.of_service(1)) == 1
    assert registry.reads == before


async def test_a_blob_is_brought_from_a_registered_operator_past_those_that_lie_or_stall(tmp_path):
    async with (
        ApiDouble(lambda: web.Response(body=b"y" * 5000)).served() as liar,
        ApiDouble(lambda: web.Response(status=404)).served() as poor,
        ApiDouble().served() as honest,
    ):
        registry = Registry(liar.origin, poor.origin, honest.origin)
        store = Store.open(f"sqlite:///{tmp_path}/store.sqlite")
        settings = Settings(home=tmp_path, private_peers=True, blob_seconds=0)
        fetcher = BlobFetcher(store, settings, Peers(settings, registry))
        await fetcher.bring([BLOB], 1)
        assert store.blobs.contents([BLOB]) == {BLOB.sha256: BYTES}
        public_only = Settings(home=tmp_path, blob_seconds=0)
        other = Blob(3, sha256(b"abc"))
        with pytest.raises(BlobUnavailable):
            await BlobFetcher(store, public_only, Peers(public_only, registry)).bring([other], 1)
        assert not any(other.sha256.hex() in path for api in (liar, poor, honest) for path in api.asked)
        registry.addresses = [liar.origin]
        with pytest.raises(BlobUnavailable, match="1 of its peers served other bytes"):
            await BlobFetcher(store, settings, Peers(settings, registry)).bring([other], 1)
        store.close()


@pytest.mark.chain
async def test_addresses_are_read_from_the_chain(fresh_chain):
    """The newest that each operator of the service has registered; not its own, and of text only."""
    deployment = fresh_chain.deployment
    operator = fresh_chain.operator()
    async with await fresh_chain.adapter(fresh_chain.account()) as other, await fresh_chain.adapter() as own:
        head = (await other.head()).number  # this ABI epoch tells it in a view too
        assert await other.operator_addresses(deployment.service_id, head + 1) == ["http://127.0.0.1:8080"]
        assert await own.operator_addresses(deployment.service_id, 0) == []
        for address in ("https://first.example", "https://second.example"):
            call = protocol.UPDATE_OPERATOR_PREFERENCES.encode(deployment.blueprint_id, b"", address)
            await fresh_chain.send(call, account=operator)
        assert await other.operator_addresses(deployment.service_id, 0) == ["https://second.example"]
        assert other._addresses == {deployment.operator: "https://second.example"}
        assert await other.operator_addresses(deployment.service_id + 1, 0) == []
        no_text = call.replace(b"https://second.example", b"https://\xff\xfe\xfd\xfcnd.example")
        await fresh_chain.send(no_text, account=operator)
        assert await other.operator_addresses(deployment.service_id, 0) == []
