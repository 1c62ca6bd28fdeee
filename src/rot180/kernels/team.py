"""The threads that run a kernel together: each takes units of work as long as there are any.

All threads of a team call the same kernel with the same arguments. A loop over `split(team, count)` runs `count` units,
each in one of the threads, and ends for all of them when the last unit is done: what follows may read all that the loop
wrote. What a kernel does outside of such loops is done by every thread, so it must not write to memory.

Each thread begins with its own part of the units, the same in every loop of this length, so that it finds in its cache
what it wrote before. It takes some at a time, and then helps the others. So nobody waits for a thread that is late or
is not running, because its core is another program's: only for units that it has taken.
"""

from __future__ import annotations

from typing import NamedTuple

from llvmlite import ir

from rot180.kernels.compiling import routine, subroutine
from rot180.kernels.deferred import cgutils, intrinsic, types
from rot180.kernels.processor import IS_ARM, IS_X86

_I64 = ir.IntType(64)
LINE = 16
"""Words from one to the next that different threads write, so that they never share a cache line."""
STAGE, DONE = 0, LINE
"""Places of words that a team shares: the number of the loop that it is in, and how many of its units are done."""
TAKE, PATIENCE, GIVE_WAY = 2 * LINE, 2 * LINE + 1, 2 * LINE + 2
"""Addresses of the functions that take units and that let another thread run, and how long to spin before that."""
THREADS = 4 * LINE
"""What belongs to each thread begins here."""
WORDS_OF_THREAD = 4 * LINE
TAKEN, OWN_STAGE, HELD = 0, LINE, LINE + 1
"""How many units of its part are taken, with the number of the loop; the loop that it is in, and units it has."""
STAGE_SHIFT, STAGES = 32, 0x7FFFFFFF
"""Loops are numbered up to STAGES, and then from 0; the number is shifted left beside that of the units taken."""


class Team(NamedTuple):
    """What a thread knows of its team."""

    thread: int
    """Its number, from 0; that of the thread which launched the kernels."""
    threads: int
    """How many may take part."""
    shared: int
    """Address of the words that they share; unused by a thread alone."""


def word_at(builder, address, place):
    return builder.gep(builder.inttoptr(address, _I64.as_pointer()), [place])


@intrinsic
def load_word(typingctx, address, place):
    """Read a word that another thread may write, and see all that it wrote before."""

    def codegen(context, builder, sig, args):
        return builder.load_atomic(word_at(builder, *args), "seq_cst", 8)

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store_word(typingctx, address, place, value):
    """Write a word for other threads to see, and with it all that was written before."""

    def codegen(context, builder, sig, args):
        address, place, value = args
        builder.store_atomic(value, word_at(builder, address, place), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def add_to_word(typingctx, address, place, value):
    """Add to a word that other threads also add to."""

    def codegen(context, builder, sig, args):
        address, place, value = args
        builder.atomic_rmw("add", word_at(builder, address, place), value, "seq_cst")
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def replace_word(typingctx, address, place, old, new):
    """Write a word if it is `old`, and return whether it was."""

    def codegen(context, builder, sig, args):
        address, place, old, new = args
        pair = builder.cmpxchg(word_at(builder, address, place), old, new, "seq_cst", "seq_cst")
        return builder.extract_value(pair, 1)

    return types.boolean(types.int64, types.int64, types.int64, types.int64), codegen


@intrinsic
def pause(typingctx):
    """Let the other thread of a core go first for a moment."""

    def codegen(context, builder, sig, args):
        if IS_X86:
            kind, name, values = ir.FunctionType(ir.VoidType(), []), "llvm.x86.sse2.pause", []
        elif IS_ARM:  # YIELD
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
            name, values = "llvm.aarch64.hint", [ir.Constant(ir.IntType(32), 1)]
        else:
            return context.get_dummy_value()
        builder.call(cgutils.get_or_insert_function(builder.module, kind, name), values)
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def call_address(typingctx, address, first, second):
    """Call the C function at an address with two words."""

    def codegen(context, builder, sig, args):
        kind = ir.FunctionType(ir.VoidType(), [_I64, _I64])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@subroutine
def spin(shared, place, value):
    """Wait as long as a word has this value."""
    patience, spins = load_word(shared, PATIENCE), 0
    while load_word(shared, place) == value:
        pause()
        spins += 1
        if spins > patience:
            call_address(load_word(shared, GIVE_WAY), 0, 0)


@routine
def take(shared, thread, threads, count):
    """Return the next units of a loop for a thread, from the first in the upper half of the word to before the lower.

    If all are taken, wait until they are done, and return 0.
    """
    own = THREADS + thread * WORDS_OF_THREAD
    stage, held = load_word(shared, own + OWN_STAGE), load_word(shared, own + HELD)
    if held > 0:
        store_word(shared, own + HELD, 0)
        add_to_word(shared, DONE, held)
    for i in range(threads):
        other = (thread + i) % threads
        place = THREADS + other * WORDS_OF_THREAD + TAKEN
        first = other * count // threads
        size = (other + 1) * count // threads - first
        while True:
            word = load_word(shared, place)
            if word >> STAGE_SHIFT != stage:  # the others have finished the loop already
                break
            taken = word - (stage << STAGE_SHIFT)
            if taken >= size:
                break
            some = max(1, (size - taken) // 4)
            if replace_word(shared, place, word, word + some):
                store_word(shared, own + HELD, some)
                return (first + taken) << STAGE_SHIFT | (first + taken + some)
    following = (stage + 1) & STAGES
    if thread == 0:
        done = load_word(shared, DONE)
        while done < count:
            spin(shared, DONE, done)
            done = load_word(shared, DONE)
        store_word(shared, DONE, 0)
        for other in range(threads):
            store_word(shared, THREADS + other * WORDS_OF_THREAD + TAKEN, following << STAGE_SHIFT)
        store_word(shared, STAGE, following)
    else:
        spin(shared, STAGE, stage)
    store_word(shared, own + OWN_STAGE, following)
    return 0


@intrinsic
def split(typingctx, team, count):
    """Return the units that this thread runs, of those from 0 to `count`."""
    from rot180.kernels.numba_types import UNITS

    def codegen(context, builder, sig, args):
        units = cgutils.create_struct_proxy(UNITS)(context, builder)
        units.thread, units.threads, units.shared = (builder.extract_value(args[0], i) for i in range(3))
        units.count = args[1]
        alone = builder.icmp_signed("==", units.threads, ir.Constant(_I64, 1))
        units.unit, units.end = cgutils.alloca_once(builder, _I64), cgutils.alloca_once(builder, _I64)
        builder.store(ir.Constant(_I64, 0), units.unit)
        builder.store(builder.select(alone, units.count, ir.Constant(_I64, 0)), units.end)
        return units._getvalue()

    return UNITS(team, types.int64), codegen


@intrinsic
def call_entry(typingctx, address, team, block):
    """Call the entry of a kernel."""

    def codegen(context, builder, sig, args):
        address, team, block = args
        words = [builder.extract_value(team, i) for i in range(3)]
        kind = ir.FunctionType(ir.VoidType(), [_I64] * 4)
        builder.call(builder.inttoptr(address, kind.as_pointer()), [*words, block])
        return context.get_dummy_value()

    return types.void(types.int64, team, types.int64), codegen
