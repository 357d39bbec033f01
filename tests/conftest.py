"""Every test starts with the signals of a program in the foreground, wherever the test run itself was started.

A run in the background, or under nohup, ignores SIGINT or SIGHUP, and its children inherit that. No property has a
deadline: the first example may compile a loop, and the machine may be busy.
"""

from __future__ import annotations

import signal

from hypothesis import settings

collect_ignore = ["plugin_package"]  # its tests are run by tests/cli/test_plugins.py, where the package is installed

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile("swaptrace", deadline=None)
settings.load_profile("swaptrace")
