"""Makes the golden receipts: what each program in `golden/programs` gave when the profile was made.

    python tests/vectors/make_golden.py

Run it only when the machine profile, the guest or the list of packages was changed on purpose.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from eth_keys.main import KeyAPI

from faas_blueprint.bundle import bundle_to_json, make_bundle
from faas_blueprint.job import encode_job, job_digest, make_job
from faas_blueprint.receipt import CallReference, address, make_receipt, signing_digest
from faas_blueprint.terminal import TerminalSize, encode_events
from faas_microvm.engine import Engine

GOLDEN = Path(__file__).parent / "golden"
LANGUAGES = {
    ".py": "python",
    ".js": "javascript",
    ".sh": "bash",
    ".rs": "rust",
    ".go": "go",
    ".ts": "typescript",
}
INTERACTIVE = {"asking", "terminal"}
TYPED = [b"gol", TerminalSize(120, 40), "\x7f\x7fünn\x7f\r".encode(), b"secret\r", b"x\x03"]
"""What happens in `terminal`, before the end."""
KEY = KeyAPI().PrivateKey(b"\x42" * 32)
OPERATOR = address(KEY.public_key.to_address())
CALL = CallReference(31337, address("0x" + "00" * 19 + "01"), 1, 1)


async def main() -> None:
    """Run every program once and write its signed receipt file."""
    async with await Engine.open(progress=print) as engine:
        for program in sorted((GOLDEN / "programs").iterdir()):
            on_terminal = program.stem == "terminal"
            job = make_job(
                LANGUAGES[program.suffix],
                program.read_text(),
                seed=1,
                stdin=encode_events(TYPED) if on_terminal else b"golden\n",
                interactive=program.stem in INTERACTIVE,
                terminal=TerminalSize() if on_terminal else None,
            )
            execution = await engine.run(job)
            outcome = execution.outcome
            receipt = make_receipt(
                profile_id=engine.profile_id,
                snapshot=engine.measurement,
                toolchain=execution.toolchain,
                job_digest=job_digest(job),
                outcome=outcome,
                call=CALL,
                operator=OPERATOR,
            )
            signed = KEY.sign_msg_hash(signing_digest(receipt)).to_bytes()
            signature = signed[:64] + bytes([signed[64] + 27])
            bundle = bundle_to_json(make_bundle(receipt, signature, encode_job(job), outcome))
            (GOLDEN / f"{program.name}.json").write_text(json.dumps(bundle, indent=1) + "\n")
            print(program.name, outcome.status.name, outcome.virtual_ns)


if __name__ == "__main__":
    asyncio.run(main())
