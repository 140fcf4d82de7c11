"""Signing in with an account on a chain: a challenge, and a key for whoever signs it."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends

from faas_api.authentication import Access
from faas_api.json_bodies import JsonRoute
from faas_api.platform import account_bodies as bodies
from faas_api.platform.account_bodies import created_answer
from faas_api.platform.times import timestamp
from faas_blueprint.errors import InvalidRequest
from faas_operator.account_record import parse_scopes
from faas_operator.sign_in import SignIn
from faas_operator.wallets import Scheme


def router(sign_in: SignIn, access: Access) -> APIRouter:
    """The routes over one service."""
    routes = APIRouter(tags=["sign-in"], route_class=JsonRoute, dependencies=[Depends(access.anyone)])

    @routes.post("/sign-in/challenges", status_code=201)
    async def create_challenge(body: bodies.ChallengeRequest) -> bodies.Challenge:
        """A text for a wallet to sign, within five minutes and once: EIP-4361 on Ethereum; on Substrate its
        raw bytes, bare or in `<Bytes>`."""
        if body.scheme not in list(Scheme):
            served = [str(scheme) for scheme in Scheme]
            raise InvalidRequest(
                f"scheme {body.scheme!r} does not exist; choose one of: {', '.join(served)}",
                {"field": "scheme", "served": served},
            )
        made = await asyncio.to_thread(sign_in.challenge, Scheme(body.scheme), body.address)
        return bodies.Challenge(nonce=made.nonce, message=made.message, expires_at=timestamp(made.expires_at))

    @routes.post("/sign-in", status_code=201)
    async def create_key_by_signing(body: bodies.SignInRequest) -> bodies.CreatedKey:
        """A key for the account that is bound to the address, which is made the first time."""
        scopes = parse_scopes(body.scopes)
        made = await asyncio.to_thread(
            sign_in.sign_in,
            *(body.nonce, body.signature_bytes(), body.message, scopes, body.name, body.expires_in_seconds),
        )
        return created_answer(made)

    return routes
