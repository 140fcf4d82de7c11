"""The version that the service reports: the installed distribution's."""

from importlib.metadata import version

VERSION = version("tangle-faas")
