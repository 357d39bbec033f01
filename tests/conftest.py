"""Every test starts with the signals of a program in the foreground, wherever the test run itself was started.

A run in the background, or under nohup, ignores SIGINT or SIGHUP, and its children inherit that.
"""

from __future__ import annotations

import signal

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
