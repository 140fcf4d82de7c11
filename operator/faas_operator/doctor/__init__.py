"""Looks a real environment over before stake depends on it. What to do with the findings: `faas_cli.doctor`.

finding      what a check says
host         emulator, sandbox, control groups, disk, clock, database
machine      image and base snapshot, a golden job
key          the operator's keystore
chain        RPC, epoch, registration, stake, services, balance, registered measurements
examination  all of them in order
"""
