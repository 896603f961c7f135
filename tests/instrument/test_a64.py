"""Classes, operations and accesses of Arm instructions, by their encodings.

The encodings are those of GNU's assembler for the text beside them.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerml.meters.simulator.caches import CLASSES
from tests.instrument.simulation import SOURCES

FETCH, READ, WRITE, MODIFY = range(4)
LONGEST_ACCESS_BYTES = 64


class Expected(NamedTuple):
    """What an instruction is, does and accesses."""

    class_: str
    float_operations: int = 0
    integer_operations: int = 0
    bytes: int = 0
    direction: int = FETCH
    is_conditional: bool = False


def read(size_bytes: int) -> Expected:
    return Expected("moves", bytes=size_bytes, direction=READ)


def write(size_bytes: int) -> Expected:
    return Expected("moves", bytes=size_bytes, direction=WRITE)


def may_write(size_bytes: int) -> Expected:
    return write(size_bytes)._replace(is_conditional=True)


def modify(size_bytes: int) -> Expected:
    return Expected("integer", 0, 1, size_bytes, MODIFY)


MOVE, BRANCH, INTEGER = Expected("moves"), Expected("branches"), Expected("integer", 0, 1)
INSTRUCTIONS: dict[tuple[int, str], Expected] = {
    (0xD503201F, "nop"): MOVE,
    (0xAA0103E0, "mov x0, x1"): MOVE,
    (0x910003E0, "mov x0, sp"): MOVE,
    (0x528000A0, "mov w0, #5"): MOVE,
    (0xF2A00021, "movk x1, #1, lsl #16"): MOVE,
    (0x9A820020, "csel x0, x1, x2, eq"): MOVE,
    (0x1E204020, "fmov s0, s1"): MOVE,
    (0x1E270020, "fmov s0, w1"): MOVE,
    (0x1E2E1000, "fmov s0, #1.0"): MOVE,
    (0x4E040C20, "dup v0.4s, w1"): MOVE,
    (0x6E024020, "ext v0.16b, v1.16b, v2.16b, #8"): MOVE,
    (0x4E823820, "zip1 v0.4s, v1.4s, v2.4s"): MOVE,
    (0x4E020020, "tbl v0.16b, {v1.16b}, v2.16b"): MOVE,
    (0x4EA11C20, "mov v0.16b, v1.16b"): MOVE,
    (0x4F000400, "movi v0.4s, #0"): MOVE,
    (0xF9800000, "prfm pldl1keep, [x0]"): MOVE,
    (0xD5033BBF, "dmb ish"): MOVE,
    (0xD53BD040, "mrs x0, tpidr_el0"): MOVE,
    (0x8B020020, "add x0, x1, x2"): INTEGER,
    (0xD10043FF, "sub sp, sp, #16"): INTEGER,
    (0xF100041F, "cmp x0, #1"): INTEGER,
    (0xAA020020, "orr x0, x1, x2"): INTEGER,
    (0xD37DF020, "lsl x0, x1, #3"): INTEGER,
    (0x90000000, "adrp x0, ."): INTEGER,
    (0x9B027C20, "mul x0, x1, x2"): INTEGER,
    (0x9B020C20, "madd x0, x1, x2, x3"): Expected("integer", 0, 2),
    (0x9BC27C20, "umulh x0, x1, x2"): INTEGER,
    (0x9A820420, "csinc x0, x1, x2, eq"): INTEGER,
    (0x9AC20C20, "sdiv x0, x1, x2"): Expected("divisions", 0, 1),
    (0x1AC20820, "udiv w0, w1, w2"): Expected("divisions", 0, 1),
    (0x14000000, "b ."): BRANCH,
    (0x54000000, "b.eq ."): BRANCH,
    (0xB4000000, "cbz x0, ."): BRANCH,
    (0x37180000, "tbnz x0, #3, ."): BRANCH,
    (0x94000000, "bl ."): BRANCH,
    (0xD61F0020, "br x1"): BRANCH,
    (0xD65F03C0, "ret"): BRANCH,
    (0x1E222820, "fadd s0, s1, s2"): Expected("float_scalar", 1),
    (0x1E212000, "fcmp s0, s1"): Expected("float_scalar", 1),
    (0x1E220C20, "fcsel s0, s1, s2, eq"): MOVE,
    (0x1E22C000, "fcvt d0, s0"): Expected("float_scalar"),
    (0x1E220020, "scvtf s0, w1"): Expected("float_scalar"),
    (0x1F020C20, "fmadd s0, s1, s2, s3"): Expected("fma_scalar", 2),
    (0x1E221820, "fdiv s0, s1, s2"): Expected("divisions", 1),
    (0x1E61C020, "fsqrt d0, d1"): Expected("divisions", 1),
    (0x4E22D420, "fadd v0.4s, v1.4s, v2.4s"): Expected("float_128", 4),
    (0x0E22D420, "fadd v0.2s, v1.2s, v2.2s"): Expected("float_128", 2),
    (0x4E62D420, "fadd v0.2d, v1.2d, v2.2d"): Expected("float_128", 2),
    (0x6E421C20, "fmul v0.8h, v1.8h, v2.8h"): Expected("float_128", 8),
    (0x4FA29020, "fmul v0.4s, v1.4s, v2.s[1]"): Expected("float_128", 4),
    (0x4E22CC20, "fmla v0.4s, v1.4s, v2.4s"): Expected("fma_128", 8),
    (0x4FA21820, "fmla v0.4s, v1.4s, v2.s[3]"): Expected("fma_128", 8),
    (0x4E62CC20, "fmla v0.2d, v1.2d, v2.2d"): Expected("fma_128", 4),
    (0x4F321820, "fmla v0.8h, v1.8h, v2.h[7]"): Expected("fma_128", 16),
    (0x5FA21020, "fmla s0, s1, v2.s[1]"): Expected("fma_scalar", 2),
    (0x4EA2CC20, "fmls v0.4s, v1.4s, v2.4s"): Expected("fma_128", 8),
    (0x4E22F420, "fmax v0.4s, v1.4s, v2.4s"): Expected("float_128", 4),
    (0x6E22FC20, "fdiv v0.4s, v1.4s, v2.4s"): Expected("divisions", 4),
    (0x6EA1F820, "fsqrt v0.4s, v1.4s"): Expected("divisions", 4),
    (0x4E22FC20, "frecps v0.4s, v1.4s, v2.4s"): Expected("fma_128", 8),
    (0x6E30F820, "fmaxv s0, v1.4s"): Expected("float_128", 3),
    (0x7E30D820, "faddp s0, v1.2s"): Expected("float_scalar", 1),
    (0x4E21D820, "scvtf v0.4s, v1.4s"): Expected("float_128"),
    (0x4EA1B820, "fcvtzs v0.4s, v1.4s"): Expected("float_128"),
    (0x4EA28420, "add v0.4s, v1.4s, v2.4s"): Expected("integer_128", 0, 4),
    (0x4E228420, "add v0.16b, v1.16b, v2.16b"): Expected("integer_128", 0, 16),
    (0x4EA29C20, "mul v0.4s, v1.4s, v2.4s"): Expected("integer_128", 0, 4),
    (0x4EA29420, "mla v0.4s, v1.4s, v2.4s"): Expected("integer_128", 0, 8),
    (0x0E22C020, "smull v0.8h, v1.8b, v2.8b"): Expected("integer_128", 0, 8),
    (0x0E628020, "smlal v0.4s, v1.4h, v2.4h"): Expected("integer_128", 0, 8),
    (0x4F722020, "smlal2 v0.4s, v1.8h, v2.h[3]"): Expected("integer_128", 0, 8),
    (0x4E829420, "sdot v0.4s, v1.16b, v2.16b"): Expected("integer_128", 0, 32),
    (0x6F82E820, "udot v0.4s, v1.16b, v2.4b[2]"): Expected("integer_128", 0, 32),
    (0x0E829420, "sdot v0.2s, v1.8b, v2.8b"): Expected("integer_128", 0, 16),
    (0x4F82D020, "sqrdmulh v0.4s, v1.4s, v2.s[0]"): Expected("integer_128", 0, 4),
    (0x4EA24420, "sshl v0.4s, v1.4s, v2.4s"): Expected("integer_128", 0, 4),
    (0x4F235420, "shl v0.4s, v1.4s, #3"): Expected("integer_128", 0, 4),
    (0x0F08A420, "sxtl v0.8h, v1.8b"): Expected("integer_128", 0, 8),
    (0x0E212820, "xtn v0.8b, v1.8h"): Expected("integer_128"),
    (0x4EB1B820, "addv s0, v1.4s"): Expected("integer_128", 0, 3),
    (0x4E221C20, "and v0.16b, v1.16b, v2.16b"): Expected("integer_128", 0, 1),
    (0x4E284820, "aese v0.16b, v1.16b"): Expected("integer_128", 0, 1),
    (0xF9400020, "ldr x0, [x1]"): read(8),
    (0xB9400420, "ldr w0, [x1, #4]"): read(4),
    (0x38626820, "ldrb w0, [x1, x2]"): read(1),
    (0xB8804420, "ldrsw x0, [x1], #4"): read(4),
    (0xF85F8020, "ldur x0, [x1, #-8]"): read(8),
    (0x3DC00020, "ldr q0, [x1]"): read(16),
    (0xBD400420, "ldr s0, [x1, #4]"): read(4),
    (0x58000000, "ldr x0, ."): read(8),
    (0xA8C107E0, "ldp x0, x1, [sp], #16"): read(16),
    (0xAD400400, "ldp q0, q1, [x0]"): read(32),
    (0x69400440, "ldpsw x0, x1, [x2]"): read(8),
    (0xF9000020, "str x0, [x1]"): write(8),
    (0x38001C20, "strb w0, [x1, #1]!"): write(1),
    (0x3D800020, "str q0, [x1]"): write(16),
    (0xA9BF7BFD, "stp x29, x30, [sp, #-16]!"): write(16),
    (0x6D000400, "stp d0, d1, [x0]"): write(16),
    (0xAC000400, "stnp q0, q1, [x0]"): write(32),
    (0x4C402000, "ld1 {v0.16b-v3.16b}, [x0]"): read(64),
    (0x4CDF7800, "ld1 {v0.4s}, [x0], #16"): read(16),
    (0x0D409000, "ld1 {v0.s}[1], [x0]"): read(4),
    (0x4D40C800, "ld1r {v0.4s}, [x0]"): read(4),
    (0x4C408800, "ld2 {v0.4s, v1.4s}, [x0]"): read(32),
    (0x0C400000, "ld4 {v0.8b-v3.8b}, [x0]"): read(32),
    (0x4C00AC00, "st1 {v0.2d, v1.2d}, [x0]"): write(32),
    (0x0D00B000, "st3 {v0.s-v2.s}[1], [x0]"): write(12),
    (0xC8DFFC20, "ldar x0, [x1]"): read(8),
    (0x889FFC20, "stlr w0, [x1]"): write(4),
    (0xC85FFC20, "ldaxr x0, [x1]"): read(8),
    (0xC800FC41, "stlxr w0, x1, [x2]"): may_write(8),
    (0xB8BFC020, "ldapr w0, [x1]"): read(4),
    (0xB8200041, "ldadd w0, w1, [x2]"): modify(4),
    (0xF8E08041, "swpal x0, x1, [x2]"): modify(8),
    (0x88A07C41, "cas w0, w1, [x2]"): modify(4),
    (0x48207C82, "casp x0, x1, x2, x3, [x4]"): modify(16),
    (0xD50B7420, "dc zva, x0"): write(64),
}


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("class_", ctypes.c_int),
        ("float_operations", ctypes.c_uint32),
        ("integer_operations", ctypes.c_uint32),
        ("bytes", ctypes.c_uint32),
        ("direction", ctypes.c_int),
        ("is_conditional", ctypes.c_int),
        ("is_zeroing", ctypes.c_int),
    )


Classify = Callable[[int], _Instruction]


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory) -> Classify:
    """The classification, compiled alone."""
    compiler = shutil.which("gcc")
    assert compiler is not None, "the instrument's tests need gcc"
    built: Path = tmp_path_factory.mktemp("a64") / "a64.so"
    options = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")
    subprocess.run([compiler, *options, "-o", built, SOURCES / "a64.c"], check=True)
    function = ctypes.CDLL(str(built)).a64_classify
    function.restype, function.argtypes = _Instruction, [ctypes.c_uint32]
    found: Classify = function
    return found


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [pytest.param(encoding, one, id=text) for (encoding, text), one in INSTRUCTIONS.items()],
)
def test_an_instruction_is_told_by_its_encoding(
    classify: Classify, encoding: int, expected: Expected
) -> None:
    found = classify(encoding)
    told = Expected(
        CLASSES[found.class_],
        found.float_operations,
        found.integer_operations,
        found.bytes,
        found.direction if found.bytes else FETCH,
        bool(found.is_conditional),
    )
    assert told == expected


def test_only_dc_zva_sets_a_block_to_zero(classify: Classify) -> None:
    zeroing = [text for encoding, text in INSTRUCTIONS if classify(encoding).is_zeroing]
    assert zeroing == ["dc zva, x0"]


@given(st.integers(0, 2**32 - 1))
def test_whatever_is_no_instruction_does_no_harm(classify: Classify, encoding: int) -> None:
    found = classify(encoding)
    assert 0 <= found.class_ < len(CLASSES)
    assert found.bytes <= LONGEST_ACCESS_BYTES
    assert found.float_operations <= LONGEST_ACCESS_BYTES
    assert found.integer_operations <= LONGEST_ACCESS_BYTES
