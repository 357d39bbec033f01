"""libbpf.so.1 through ctypes: what the recorder needs of it, and nothing else.

The functions are libbpf's own (tools/lib/bpf/libbpf.h of the kernel tree, API version 1.x); the object is built in
advance (``make bpf``), so no compiler runs here.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

__all__ = ["BpfObject", "LoadError", "kernel_tracepoints", "library"]

_NAME = "libbpf.so.1"
_POINTER = ctypes.c_void_p
_FUNCTIONS: dict[str, tuple[Any, list[Any]]] = {
    "libbpf_set_print": (_POINTER, [_POINTER]),
    "bpf_object__open_file": (_POINTER, [ctypes.c_char_p, _POINTER]),
    "bpf_object__load": (ctypes.c_int, [_POINTER]),
    "bpf_object__close": (None, [_POINTER]),
    "bpf_object__next_program": (_POINTER, [_POINTER, _POINTER]),
    "bpf_object__next_map": (_POINTER, [_POINTER, _POINTER]),
    "bpf_object__btf": (_POINTER, [_POINTER]),
    "bpf_program__name": (ctypes.c_char_p, [_POINTER]),
    "bpf_program__section_name": (ctypes.c_char_p, [_POINTER]),
    "bpf_program__fd": (ctypes.c_int, [_POINTER]),
    "bpf_program__attach": (_POINTER, [_POINTER]),
    "bpf_program__autoload": (ctypes.c_bool, [_POINTER]),
    "bpf_program__set_autoload": (ctypes.c_int, [_POINTER, ctypes.c_bool]),
    "bpf_link__destroy": (ctypes.c_int, [_POINTER]),
    "bpf_map__name": (ctypes.c_char_p, [_POINTER]),
    "bpf_map__fd": (ctypes.c_int, [_POINTER]),
    "bpf_map__initial_value": (_POINTER, [_POINTER, ctypes.POINTER(ctypes.c_size_t)]),
    "bpf_map__set_max_entries": (ctypes.c_int, [_POINTER, ctypes.c_uint]),
    "bpf_map_lookup_elem": (ctypes.c_int, [ctypes.c_int, _POINTER, _POINTER]),
    "bpf_prog_test_run_opts": (ctypes.c_int, [ctypes.c_int, _POINTER]),
    "btf__load_vmlinux_btf": (_POINTER, []),
    "btf__free": (None, [_POINTER]),
    "btf__find_by_name_kind": (ctypes.c_int, [_POINTER, ctypes.c_char_p, ctypes.c_uint]),
    "btf__type_by_id": (_POINTER, [_POINTER, ctypes.c_uint]),
    "btf__name_by_offset": (ctypes.c_char_p, [_POINTER, ctypes.c_uint]),
}
_BTF_KIND_STRUCT, _BTF_KIND_TYPEDEF, _BTF_KIND_DATASEC = 4, 8, 15  # uapi/linux/btf.h
_BTF_TYPE = struct.Struct("=III")  # name_off, info, size or type; also the layout of members and of variables
_PAGE = mmap.PAGESIZE


class LoadError(OSError):
    """libbpf or the kernel refused a step; ``log`` holds the last lines that libbpf said."""

    def __init__(self, error: int, what: str, log: str = "") -> None:
        super().__init__(error, os.strerror(error), what)
        self.log = log


class _TestRun(ctypes.Structure):
    """struct bpf_test_run_opts of tools/lib/bpf/bpf.h."""

    _fields_ = (
        ("sz", ctypes.c_size_t),
        ("data_in", _POINTER),
        ("data_out", _POINTER),
        ("data_size_in", ctypes.c_uint32),
        ("data_size_out", ctypes.c_uint32),
        ("ctx_in", _POINTER),
        ("ctx_out", _POINTER),
        ("ctx_size_in", ctypes.c_uint32),
        ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32),
        ("repeat", ctypes.c_int),
        ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("cpu", ctypes.c_uint32),
        ("batch_size", ctypes.c_uint32),
    )


@functools.cache
def library() -> Any:
    """Return libbpf with typed functions. Raises :class:`OSError` where it is not installed."""
    found = ctypes.CDLL(_NAME, use_errno=True)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    found.libbpf_set_print(None)  # its messages would appear in the middle of a terminal
    return found


class BpfObject:
    """One object file: settings before :meth:`load`, shared variables and programs after it.

    A context manager: leaving it detaches and frees everything. Errors are :class:`LoadError`.
    """

    def __init__(self, path: Path) -> None:
        self._lib = library()
        self._links: list[int] = []
        self._mapped: dict[str, mmap.mmap] = {}
        self._object = self._lib.bpf_object__open_file(os.fsencode(path), None)
        if not self._object:
            raise LoadError(ctypes.get_errno(), str(path))
        self.programs: dict[str, int] = {self._text("program", p): p for p in self._each("program")}
        self.maps: dict[str, int] = {self._text("map", m): m for m in self._each("map")}

    def _each(self, what: str) -> Iterator[int]:
        item = None
        while item := getattr(self._lib, f"bpf_object__next_{what}")(self._object, item):
            yield item

    def _text(self, what: str, item: int) -> str:
        name: bytes = getattr(self._lib, f"bpf_{what}__name")(item)
        return name.decode()

    def section(self, program: str) -> str:
        """Return where a program attaches, as ``raw_tp/block_bio_queue``."""
        name: bytes = self._lib.bpf_program__section_name(self.programs[program])
        return name.decode().lstrip("?")

    def want(self, program: str, yes: bool) -> None:
        """Load ``program``, or leave it out."""
        self._lib.bpf_program__set_autoload(self.programs[program], yes)

    def wanted(self, program: str) -> bool:
        """Whether ``program`` is or will be loaded."""
        return bool(self._lib.bpf_program__autoload(self.programs[program]))

    def resize(self, name: str, entries: int) -> None:
        """Set the size of a map before it is made (bytes of a ring buffer)."""
        self._check(self._lib.bpf_map__set_max_entries(self.maps[name], entries), name)

    def load(self) -> None:
        """Let the kernel verify and load what is wanted."""
        self._check(self._lib.bpf_object__load(self._object), "load")

    def attach(self, program: str) -> int:
        """Attach ``program``; return 0, or the errno of the refusal."""
        link = self._lib.bpf_program__attach(self.programs[program])
        if not link:
            return ctypes.get_errno()
        self._links.append(link)
        return 0

    def detach(self) -> None:
        """Detach every program."""
        while self._links:
            self._lib.bpf_link__destroy(self._links.pop())

    def run(self, program: str) -> int:
        """Run a program once, here and now (BPF_PROG_TEST_RUN), and return what it returned."""
        arguments = (ctypes.c_uint64 * 2)()
        options = _TestRun(sz=ctypes.sizeof(_TestRun), ctx_in=ctypes.addressof(arguments), ctx_size_in=16)
        descriptor = self._lib.bpf_program__fd(self.programs[program])
        self._check(self._lib.bpf_prog_test_run_opts(descriptor, ctypes.byref(options)), program)
        return int(options.retval)

    def map_fd(self, name: str) -> int:
        """Return the descriptor of a map; it lives as long as this object."""
        return int(self._lib.bpf_map__fd(self.maps[name]))

    def lookup(self, name: str, key: int, size: int) -> bytes:
        """Return the value of ``key`` (u32) in a map whose values have ``size`` bytes."""
        value = ctypes.create_string_buffer(size)
        word = ctypes.c_uint32(key)
        descriptor = self.map_fd(name)
        self._check(self._lib.bpf_map_lookup_elem(descriptor, ctypes.byref(word), value), name)
        return value.raw

    # -- global variables ----------------------------------------------------------------------------------------

    def set_constants(self, values: dict[str, bytes]) -> None:
        """Set variables of .rodata, before :meth:`load`."""
        places = self._variables(".rodata")
        size = ctypes.c_size_t()
        base = self._lib.bpf_map__initial_value(self._section_map(".rodata"), ctypes.byref(size))
        for name, value in values.items():
            offset, room = places[name]
            ctypes.memmove(base + offset, value[:room].ljust(room, b"\0"), room)

    def read(self, name: str) -> list[int]:
        """Return a variable of .bss as 64-bit words."""
        offset, size = self._variables(".bss")[name]
        return list(memoryview(self._bss()[offset : offset + size]).cast("Q"))

    def write(self, name: str, *words: int) -> None:
        """Set a variable of .bss."""
        offset, size = self._variables(".bss")[name]
        self._bss()[offset : offset + size] = struct.pack(f"={len(words)}Q", *words)

    def _bss(self) -> mmap.mmap:
        if ".bss" not in self._mapped:
            places = self._variables(".bss").values()
            room = max(offset + size for offset, size in places)
            descriptor = int(self._lib.bpf_map__fd(self._section_map(".bss")))
            self._mapped[".bss"] = mmap.mmap(descriptor, -(-room // _PAGE) * _PAGE, mmap.MAP_SHARED)
        return self._mapped[".bss"]

    def _section_map(self, section: str) -> int:
        return next(handle for name, handle in self.maps.items() if name.endswith(section))

    @functools.cache  # noqa: B019  (an object lives as long as the recording)
    def _variables(self, section: str) -> dict[str, tuple[int, int]]:
        """Return offset and size of each variable of a section, from the BTF of the object."""
        btf = self._lib.bpf_object__btf(self._object)
        return {
            _name(self._lib, btf, variable): (offset, size)
            for variable, offset, size in _parts(self._lib, btf, section, _BTF_KIND_DATASEC)
        }

    def members(self, name: str) -> dict[str, int]:
        """Return the byte offset of each member of a struct of the object."""
        btf = self._lib.bpf_object__btf(self._object)
        return {
            self._lib.btf__name_by_offset(btf, text).decode(): bits // 8
            for text, _, bits in _parts(self._lib, btf, name, _BTF_KIND_STRUCT)
        }

    # -- ends ----------------------------------------------------------------------------------------------------

    def _check(self, result: int, what: str) -> None:
        if result < 0:
            raise LoadError(-result, what)

    def close(self) -> None:
        """Detach and free everything."""
        self.detach()
        for mapped in self._mapped.values():
            mapped.close()
        self._mapped = {}
        if self._object:
            self._lib.bpf_object__close(self._object)
            self._object = None

    def __enter__(self) -> BpfObject:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _parts(lib: Any, btf: int, name: str, kind: int) -> list[tuple[int, int, int]]:
    """Return the members (name, type, bit offset) of a struct, or the variables (type, offset, size) of a section."""
    number = lib.btf__find_by_name_kind(btf, name.encode(), kind)
    if number < 0:
        return []
    where = lib.btf__type_by_id(btf, number)
    _, info, _ = _BTF_TYPE.unpack(ctypes.string_at(where, _BTF_TYPE.size))
    data = ctypes.string_at(where + _BTF_TYPE.size, (info & 0xFFFF) * _BTF_TYPE.size)
    return list(_BTF_TYPE.iter_unpack(data))


def _name(lib: Any, btf: int, number: int) -> str:
    text, _, _ = _BTF_TYPE.unpack(ctypes.string_at(lib.btf__type_by_id(btf, number), _BTF_TYPE.size))
    name: bytes = lib.btf__name_by_offset(btf, text)
    return name.decode()


def kernel_tracepoints(names: set[str]) -> dict[str, int]:
    """Return how many arguments each tracepoint of this kernel hands to a raw program; missing ones are left out.

    The kernel's BTF has a function type ``btf_trace_NAME`` for each, whose first parameter is not an argument. Raises
    :class:`LoadError` where the kernel has no BTF.
    """
    lib = library()
    btf = lib.btf__load_vmlinux_btf()
    if not btf:
        raise LoadError(ctypes.get_errno(), "/sys/kernel/btf/vmlinux")
    try:
        found = {}
        for name in names:
            number = lib.btf__find_by_name_kind(btf, f"btf_trace_{name}".encode(), _BTF_KIND_TYPEDEF)
            if number < 0:
                continue
            info = 0
            for _ in range(3):  # the typedef, the pointer, the function type
                _, info, number = _BTF_TYPE.unpack(ctypes.string_at(lib.btf__type_by_id(btf, number), _BTF_TYPE.size))
            found[name] = (info & 0xFFFF) - 1
        return found
    finally:
        lib.btf__free(btf)
