"""What the sources that read text have in common: their input, its size, and the decoder of event fields."""

from __future__ import annotations

from swaptrace.ingest.raw import Findings
from swaptrace.ingest.text_events import TextDecoder
from swaptrace.ingest.text_input import TextInput

__all__ = ["TextSource"]


class TextSource:
    """A text input with its findings and its decoder."""

    def __init__(self, text: TextInput) -> None:
        self._text = text
        self.findings = Findings()
        self._decoder = TextDecoder(self.findings)
        self.words = self._decoder.words

    @property
    def size(self) -> int:
        """Bytes of input; 0 for standard input."""
        return self._text.size

    @property
    def done(self) -> int:
        """Bytes read so far."""
        return self._text.done
