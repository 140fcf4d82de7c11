"""The `faas` command line: a layer of its own, since it reaches every role.

Modules are named after their commands. Importing this package is cheap: a command imports the role
that it needs when it runs, so `faas verify` works where no operator is installed.
"""
