"""How a job runs: image, machine profile, snapshot, restore, sandbox, engine.

Nothing outside this package knows what kind of machine it is. `engine.Engine` is the door.
Not here: what a job or a receipt is (`faas_blueprint`), who asks for it (`faas_operator`).
"""
