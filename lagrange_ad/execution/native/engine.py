"""From LLVM text to addresses: optimised, compiled once a process, kept on disk for the next one.

A module is known by a hash of its text; text that was compiled before, here or by an earlier process on this kind of
processor with this llvmlite, is not compiled again. Code is never freed: equal programs share it.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import Any

from .cache import ObjectCache
from .host import Host, host
from .ir import Function
from .special import special_functions

PIPELINE = "speed level 2, no loop or SLP vectorizer, code generation level 2"
"""How text is compiled: part of what names a kept object, so change it with the code below."""
FRAME = "ptr %frame, ptr %data"
"""What every compiled function takes: the pointers of one evaluation, and its own record."""


class Engine:
    """Compiles functions for this machine and links them into this process."""

    def __init__(self, machine: Host) -> None:
        import llvmlite.binding as llvm

        self._llvm, self.host = llvm, machine
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
        self._target = target.create_target_machine(cpu=machine.cpu, features=machine.features, opt=2, reloc="pic")
        self._linker = llvm.create_lljit_compiler(self._target)
        self._lock = threading.RLock()
        self._known: dict[bytes, dict[str, int]] = {}
        self._trackers: list[Any] = []
        self._linked = 0
        self.cache = ObjectCache(f"{PIPELINE}; llvmlite {llvm.llvm_version_info} {machine.cpu} {machine.features}")
        self.symbols: dict[str, int] = {}
        """Compiled functions that others may call, by symbol."""
        self.compiled = 0
        """How many modules this process has compiled itself (rather than found)."""

    def addresses(self, functions: Sequence[Function]) -> dict[str, int]:
        """The addresses of functions that may call each other, by name."""
        needed = {symbol: line for function in functions for symbol, line in function.needed.items()}
        attributes = self.host.attributes
        text = "\n\n".join([*sorted(needed.values()), *(f.text(attributes) for f in functions)])
        with self._lock:
            key = hashlib.sha256(text.encode()).digest()
            found = self._known.get(key)
            if found is None:
                names = [f.name for f in functions if not f.internal]
                found = self._known[key] = self._link(text, names, sorted(needed))
            return found

    def _link(self, text: str, names: list[str], symbols: list[str]) -> dict[str, int]:
        image = self.cache.get(text)
        if image is None:
            image = self._compile(text)
            self.cache.put(text, image)
        library = self._llvm.JITLibraryBuilder().add_object_img(image).add_current_process()
        for symbol in symbols:
            if symbol.startswith("special_") and symbol not in self.symbols:
                self.symbols |= self.addresses(special_functions())
            if not symbol.startswith("llvm."):
                library.import_symbol(symbol, self.symbols.get(symbol) or self.host.address(symbol))
        for name in names:
            library.export_symbol(name)
        self._linked += 1
        tracker = library.link(self._linker, f"library{self._linked}")
        self._trackers.append(tracker)
        return {name: tracker[name] for name in names}

    def _compile(self, text: str) -> bytes:
        llvm = self._llvm
        module = llvm.parse_assembly(text)
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = options.slp_vectorization = False
        builder = llvm.create_pass_builder(self._target, options)
        builder.getModulePassManager().run(module, builder)
        self.compiled += 1
        return bytes(self._target.emit_object(module))


_ENGINES: list[Engine] = []
_MAKING = threading.Lock()


def engine() -> Engine:
    """The one engine of this process. Raises ImportError without llvmlite."""
    if not _ENGINES:
        with _MAKING:  # two would be fatal: code of the one collected would still be called
            if not _ENGINES:
                _ENGINES.append(Engine(host()))
    return _ENGINES[0]


_MADE: dict[Any, int] = {}


def function(key: Any, write: Callable[[], Function | list[Function]]) -> int:
    """The address of the function that ``write`` writes (the last, where it calls others), made once for a key."""
    address = _MADE.get(key)
    if address is None:
        made = write()
        functions = made if isinstance(made, list) else [made]
        address = _MADE[key] = engine().addresses(functions)[functions[-1].name]
    return address
