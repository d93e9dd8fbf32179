"""The host's own tests run on the host."""

from host.fixtures import *  # noqa: F403
