"""Who checks it: receipts against the chain, against themselves, and against a run of one's own.

`bundle` reads a receipt file, `chain` reads a call and its results; both give `Evidence`. `checks`
says what is looked at, `rerun` runs it again, `verify` puts the steps in order, `verdict` is what
comes out, `command` prints it. `disputed_call` finds out who of several operators is wrong, and where;
`dispute_check` checks the evidence again. Nothing here knows the operator's code: only what it signed.
"""
