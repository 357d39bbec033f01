"""A content index: references of objects to contents, and the blocks that hold the contents.

Rule. An op that *stores* takes a reference to its content, then an op that *gives* (its ``drop`` is not NOTHING, or it
is ``inplace``) gives back the reference that its object had before. In that order:

* **Take**. If the content has references already, it is a hit, and the object's block is the content's block. If not,
  the op stores a new block. A content without a hash is a new block always, of this object alone.
* **Give**. If it was the last reference, the content is forgotten and its block *dies*; a block without
  a hash does so, too.
* A new block stored by an ``inplace`` op whose old block dies *is* the old block: stored in
  place, it does not die.

The numbers of blocks that died are used again from the next batch on.
"""

from __future__ import annotations

from swaptrace.kernels.contents_loop import LoopContents
from swaptrace.kernels.contents_state import Contents, Taken
from swaptrace.kernels.contents_vector import VectorContents
from swaptrace.kernels.loop import engine_name

__all__ = ["Contents", "Taken", "new_contents"]


def new_contents() -> Contents:
    """Return an empty index in the form of the engine in force: both are exact."""
    return LoopContents() if engine_name() == "numba" else VectorContents()
