"""Classes of instructions, and their operations: each in a scope of its own, executed once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.instrument.guests import Guests
from tests.instrument.reference import CLASSES, MODIFIES, READS, WRITES
from tests.instrument.simulation import Told

pytestmark = pytest.mark.simulator

NAMES = (
    "moves",
    "integer",
    "branches",
    "float scalar",
    "float 128",
    "float 256",
    "integer 128",
    "integer 256",
    "fma scalar",
    "fma 128",
    "fma 256",
    "divisions",
)
FLOAT_OPERATIONS, INTEGER_OPERATIONS = CLASSES, CLASSES + 1


class Expected(NamedTuple):
    """What an instruction is, and how many operations it does."""

    class_: str
    float_operations: int = 0
    integer_operations: int = 0


MOVE, BRANCH, INTEGER = Expected("moves"), Expected("branches"), Expected("integer", 0, 1)

# Sequences of instructions, of which all but the last are named by MOVE or INTEGER.
INSTRUCTIONS: dict[str, Expected | tuple[Expected, ...]] = {
    "nop": MOVE,
    "mov %rcx, %rax": MOVE,
    "mov data(%rip), %rax": MOVE,
    "mov %eax, data(%rip)": MOVE,
    "movzbl data(%rip), %eax": MOVE,
    "movslq %ecx, %rax": MOVE,
    "xchg %rcx, %rax": MOVE,
    "cmove %rcx, %rax": MOVE,
    "push %rax; pop %rcx": (MOVE, MOVE),
    "push %rax; push %rcx; push %rdx; pop %rax; pop %rcx; pop %rdx": (MOVE,) * 6,
    "prefetcht0 data(%rip)": MOVE,
    "add %rcx, %rax": INTEGER,
    "add data(%rip), %rax": INTEGER,
    "add %rax, data(%rip)": INTEGER,
    "adc %rcx, %rax": INTEGER,
    "sub $16, %rsp; add $16, %rsp": (INTEGER, INTEGER),
    "xor %rcx, %rax": INTEGER,
    "not %rax": INTEGER,
    "shl %cl, %rax": INTEGER,
    "rol $3, %rax": INTEGER,
    "bswap %rax": INTEGER,
    "imul %rcx, %rax": INTEGER,
    "mul %rcx": INTEGER,
    "cmp %rcx, %rax": INTEGER,
    "test %rax, %rax": INTEGER,
    "lea 8(%rcx, %r9, 4), %rax": INTEGER,
    "popcnt %rcx, %rax": INTEGER,
    "lock incq data(%rip)": INTEGER,
    "lock xadd %rax, data(%rip)": INTEGER,
    "lock cmpxchg %rcx, data(%rip)": INTEGER,
    "cmp %rcx, %rax; je 1f; nop; 1:": (INTEGER, BRANCH, MOVE),
    "jmp 1f; nop; 1:": BRANCH,
    "call callee": (BRANCH, BRANCH),
    "jmp *place(%rip); 1: .pushsection .data; place: .quad 1b; .popsection": BRANCH,
    "cqto; idiv %rcx": (INTEGER, Expected("divisions", 0, 1)),
    "divss %xmm1, %xmm0": Expected("divisions", 1),
    "vdivps %ymm1, %ymm2, %ymm0": Expected("divisions", 8),
    "sqrtsd %xmm1, %xmm0": Expected("divisions", 1),
    "vsqrtpd %ymm1, %ymm0": Expected("divisions", 4),
    "movss data(%rip), %xmm0": MOVE,
    "movups %xmm0, data(%rip)": MOVE,
    "vmovups data(%rip), %ymm0": MOVE,
    "vbroadcastss data(%rip), %ymm0": MOVE,
    "vinsertf128 $1, %xmm1, %ymm2, %ymm0": MOVE,
    "shufps $27, %xmm1, %xmm0": MOVE,
    "vmaskmovps data(%rip), %ymm4, %ymm0": MOVE,
    "vzeroupper": MOVE,
    "addss %xmm1, %xmm0": Expected("float scalar", 1),
    "addsd data(%rip), %xmm0": Expected("float scalar", 1),
    "vmulss %xmm1, %xmm2, %xmm0": Expected("float scalar", 1),
    "maxsd %xmm1, %xmm0": Expected("float scalar", 1),
    "ucomiss %xmm1, %xmm0": Expected("float scalar", 1),
    "cvtsi2sd %rcx, %xmm0": Expected("float scalar"),
    "cvttss2si %xmm1, %rax": Expected("float scalar"),
    "roundss $0, %xmm1, %xmm0": Expected("float scalar"),
    "fldl data(%rip); fmull data(%rip); fstpl data(%rip)": (
        MOVE,
        Expected("float scalar", 1),
        MOVE,
    ),
    "addps %xmm1, %xmm0": Expected("float 128", 4),
    "mulpd data(%rip), %xmm0": Expected("float 128", 2),
    "vsubps %xmm1, %xmm2, %xmm0": Expected("float 128", 4),
    "cmpltps %xmm1, %xmm0": Expected("float 128", 4),
    "cvtdq2ps %xmm1, %xmm0": Expected("float 128"),
    "cvtps2pd %xmm1, %xmm0": Expected("float 128"),
    "roundps $0, %xmm1, %xmm0": Expected("float 128"),
    "vaddps %ymm1, %ymm2, %ymm0": Expected("float 256", 8),
    "vmulpd data(%rip), %ymm2, %ymm0": Expected("float 256", 4),
    "vmaxps %ymm1, %ymm2, %ymm0": Expected("float 256", 8),
    "vcmpltps %ymm1, %ymm2, %ymm0": Expected("float 256", 8),
    "vhaddps %ymm1, %ymm2, %ymm0": Expected("float 256", 8),
    "vcvtdq2ps %ymm1, %ymm0": Expected("float 256"),
    "vcvtps2pd %xmm1, %ymm0": Expected("float 256"),
    "vroundps $0, %ymm1, %ymm0": Expected("float 256"),
    "paddd %xmm1, %xmm0": Expected("integer 128", 0, 4),
    "paddb data(%rip), %xmm0": Expected("integer 128", 0, 16),
    "paddq %xmm1, %xmm0": Expected("integer 128", 0, 2),
    "paddusb %xmm1, %xmm0": Expected("integer 128", 0, 16),
    "pmulld %xmm1, %xmm0": Expected("integer 128", 0, 4),
    "pmuludq %xmm1, %xmm0": Expected("integer 128", 0, 2),
    "pmaddwd %xmm1, %xmm0": Expected("integer 128", 0, 8 + 4),
    "pmaddubsw %xmm1, %xmm0": Expected("integer 128", 0, 16 + 8),
    "psadbw %xmm1, %xmm0": Expected("integer 128", 0, 16 + 14),
    "pcmpgtd %xmm1, %xmm0": Expected("integer 128", 0, 4),
    "pminub %xmm1, %xmm0": Expected("integer 128", 0, 16),
    "pslld $3, %xmm0": Expected("integer 128", 0, 4),
    "andps %xmm1, %xmm0": Expected("integer 128", 0, 1),
    "vpaddd %ymm1, %ymm2, %ymm0": Expected("integer 256", 0, 8),
    "vpmullw data(%rip), %ymm2, %ymm0": Expected("integer 256", 0, 16),
    "vpmaddwd %ymm1, %ymm2, %ymm0": Expected("integer 256", 0, 2 * (8 + 4)),
    "vpmaddubsw %ymm1, %ymm2, %ymm0": Expected("integer 256", 0, 2 * (16 + 8)),
    "vpcmpeqb %ymm1, %ymm2, %ymm0": Expected("integer 256", 0, 32),
    "vpmaxsd %ymm1, %ymm2, %ymm0": Expected("integer 256", 0, 8),
    "vpsrlq $3, %ymm1, %ymm0": Expected("integer 256", 0, 4),
    "vpxor %ymm1, %ymm2, %ymm0": Expected("integer 256", 0, 1),
    "vfmadd231ss %xmm1, %xmm2, %xmm0": Expected("fma scalar", 2),
    "vfnmsub132sd data(%rip), %xmm2, %xmm0": Expected("fma scalar", 2),
    "vfmadd213ps %xmm1, %xmm2, %xmm0": Expected("fma 128", 8),
    "vfmsub231pd data(%rip), %xmm2, %xmm0": Expected("fma 128", 4),
    "vfmadd231ps data(%rip), %ymm2, %ymm0": Expected("fma 256", 16),
    "vfnmadd231pd %ymm1, %ymm2, %ymm0": Expected("fma 256", 8),
    "vfmaddsub231ps %ymm1, %ymm2, %ymm0": Expected("fma 256", 16),
}
# What these read, write and modify: of others it follows from the order of their operands.
ACCESSES = {
    "push %rax; pop %rcx": (1, 1, 0),
    "push %rax; push %rcx; push %rdx; pop %rax; pop %rcx; pop %rdx": (3, 3, 0),
    "call callee": (1, 1, 0),
    "jmp *place(%rip); 1: .pushsection .data; place: .quad 1b; .popsection": (1, 0, 0),
    "fldl data(%rip); fmull data(%rip); fstpl data(%rip)": (2, 1, 0),
    "prefetcht0 data(%rip)": (0, 0, 0),
    "vmaskmovps data(%rip), %ymm4, %ymm0": (0, 0, 0),  # no lane of the mask is set
}
MODIFYING = ("add %rax, data", "lock ")
# Instructions that repeat themselves: each time counts, as Cachegrind has it, and one that ends it.
REPEATED = {"rep movsb": (7, 7), "rep stosq": (0, 7)}
PROGRAM = """
#include "tool.h"

__asm__("callee: ret");
__attribute__((aligned(64))) char data[64] = {1}, more[256];

/* All between the requests is the instruction, and what the empty scope has too. */
#define IN_SCOPE(name, instruction)                                                         \\
    {                                                                                       \\
        long a = 3, c = 7, s = (long)data, d = (long)more;                                  \\
        push(name);                                                                         \\
        __asm__ volatile(instruction                                                        \\
                         : "+a"(a), "+c"(c), "+S"(s), "+D"(d)                               \\
                         :                                                                  \\
                         : "rdx", "r9", "memory", "cc", "xmm0", "xmm1", "xmm2", "xmm4");    \\
        pop();                                                                              \\
    }

int main(void)
{
    (void)status;
    __asm__ volatile("vpxor %%xmm4, %%xmm4, %%xmm4" : : : "xmm4");
    IN_SCOPE("nothing before", "")
STATEMENTS
    IN_SCOPE("nothing", "")
    print_told();
    return 0;
}
"""


@pytest.fixture(scope="module")
def told(guests: Guests) -> Told:
    """All instructions, each in the scope of its name."""
    statements = "\n".join(
        f'IN_SCOPE("{name}", "{name.replace("%", "%%")}")' for name in (*INSTRUCTIONS, *REPEATED)
    )
    options = ("-no-pie", "-mno-red-zone", "-mavx2", "-mfma")
    program = guests.compile(PROGRAM.replace("STATEMENTS", statements), *options)
    return guests.run(program).told


def _counted(told: Told, name: str) -> list[int]:
    counters, nothing = (told.scope(scope).counters for scope in (name, "nothing"))
    return [counter - none for counter, none in zip(counters, nothing, strict=True)]


def _classes(counters: list[int]) -> Iterator[tuple[str, int]]:
    return ((name, count) for name, count in zip(NAMES, counters, strict=False) if count)


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_an_instruction_is_of_its_class_and_does_its_operations(told: Told, name: str) -> None:
    expected = INSTRUCTIONS[name]
    parts = (expected,) if isinstance(expected, Expected) else expected
    counters = _counted(told, name)
    counts = {class_: 0 for class_, *_ in parts}
    for class_, *_ in parts:
        counts[class_] += 1
    assert dict(_classes(counters)) == counts
    assert counters[FLOAT_OPERATIONS] == sum(part.float_operations for part in parts)
    assert counters[INTEGER_OPERATIONS] == sum(part.integer_operations for part in parts)


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_an_instruction_does_each_of_its_accesses_once(told: Told, name: str) -> None:
    if name in ACCESSES:
        expected = ACCESSES[name]
    elif "data" not in name:
        expected = (0, 0, 0)
    elif name.startswith(MODIFYING):
        expected = (0, 0, 1)
    else:
        is_store = name.endswith("data(%rip)")
        expected = (int(not is_store), int(is_store), 0)
    counters = _counted(told, name)
    assert (counters[READS], counters[WRITES], counters[MODIFIES]) == expected


@pytest.mark.parametrize("name", REPEATED)
def test_strings_are_moved_by_one_instruction_for_each_access(told: Told, name: str) -> None:
    counters = _counted(told, name)
    reads, writes = REPEATED[name]
    assert dict(_classes(counters)) == {"moves": writes + 1}
    assert (counters[READS], counters[WRITES], counters[INTEGER_OPERATIONS]) == (reads, writes, 0)
