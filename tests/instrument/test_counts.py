"""The tool's counts: Cachegrind's, but for operands that Valgrind takes apart into lanes."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.instrument.guests import Guests, nine
from tests.instrument.reference import CLASSES

pytestmark = pytest.mark.simulator

AS_CACHEGRIND = "--as-cachegrind=all"
FLOAT_OPERATIONS = CLASSES
ROUNDS = 9
LANES = {"ss": (1,), "sd": (1,), "ps": (4, 8), "pd": (2, 4)}
LANE_BYTES = {"ss": 4, "ps": 4, "sd": 8, "pd": 8}
KINDS = ("fmadd", "fmsub", "fnmadd", "fnmsub")
ALTERNATING = ("fmaddsub", "fmsubadd")


@dataclass(frozen=True)
class Form:
    """A form of a fused multiply-add."""

    kind: str
    order: str
    type: str
    lanes: int
    has_memory: bool

    @property
    def instruction(self) -> str:
        """Return it as GNU's assembler takes it, with registers 0, 1 and 2."""
        register = "ymm" if self.lanes * LANE_BYTES[self.type] == 32 else "xmm"
        source = "%[memory]" if self.has_memory else f"%%{register}2"
        return f"v{self.kind}{self.order}{self.type} {source}, %%{register}1, %%{register}0"

    @property
    def statement(self) -> str:
        """Return a statement that does it once, on the inputs of a round."""
        store = "vmovups %%ymm0" if self.lanes > 1 else f"vmov{self.type} %%xmm0"
        return f'ONE({self.type[1]}, "{self.instruction}", "{store}")'


FORMS = [
    Form(kind, order, type_, lanes, has_memory)
    for kind in (*KINDS, *ALTERNATING)
    for order in ("132", "213", "231")
    for type_ in (LANES if kind in KINDS else ("ps", "pd"))
    for lanes in LANES[type_]
    for has_memory in (False, True)
]
# Results that are operands of the next, in one block: four times two chains, then one of both.
CHAINS = [
    f'ONE({type_[1]}, "{body}", "vmovups %%ymm0")'
    for type_, register in (("ps", "ymm"), ("pd", "ymm"), ("ps", "xmm"), ("pd", "xmm"))
    for body in (
        "\\n".join(
            [
                f"vfmadd231{type_} %%{register}1, %%{register}2, %%{register}0",
                f"vfnmadd213{type_} %[memory], %%{register}0, %%{register}1",
            ]
            * 4
            + [f"vfmadd132{type_} %%{register}0, %%{register}1, %%{register}0"]
        ),
    )
]
STATEMENTS = [form.statement for form in FORMS] + CHAINS
PROGRAM = """
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>

enum { ROUNDS = %(rounds)d, STATEMENTS = %(statements)d };

static union { float s[8]; double d[4]; } in[ROUNDS][3] __attribute__((aligned(32)));
static unsigned char out[STATEMENTS][32] __attribute__((aligned(32)));
static const double special[] = {0.0, -0.0, 1.0, -1.0, 1e-310, 1e-40, -1e-45, 1.0 / 3, INFINITY,
                                 3e38, -1e300, FLT_EPSILON, DBL_EPSILON, 16777217.0};

/* Numbers of all magnitudes; from the second half of the rounds on special ones too. */
static double draw(int round)
{
    static uint64_t state = 1;
    state = state * 6364136223846793005u + 1442695040888963407u;
    if (round > ROUNDS / 2 && state >> 62 == 0)
        return special[(state >> 32) %% (sizeof special / sizeof special[0])];
    return ldexp((double)(int64_t)(state << 11), (int)(state >> 59) - 80);
}

/* Of a scalar the lowest lane alone: Valgrind 3.19 clears the others, which the processor keeps. */
#define ONE(type, instruction, store)                                                       \\
    __asm__ volatile("vmovups %%[a], %%%%ymm0\\n vmovups %%[b], %%%%ymm1\\n"                    \\
                     "vmovups %%[c], %%%%ymm2\\n" instruction "\\n " store ", %%[out]"          \\
                     : [out] "=m"(out[place++])                                             \\
                     : [a] "m"(numbers[0].type), [b] "m"(numbers[1].type),                  \\
                       [c] "m"(numbers[2].type), [memory] "m"(numbers[2].type)              \\
                     : "xmm0", "xmm1", "xmm2");

int main(void)
{
    for (int type = 0; type < 2; type++) {
        for (int round = 0; round < ROUNDS; round++)
            for (int operand = 0; operand < 3; operand++)
                for (int lane = 0; lane < (type == 0 ? 8 : 4); lane++)
                    if (type == 0)
                        in[round][operand].s[lane] = (float)draw(round);
                    else
                        in[round][operand].d[lane] = draw(round);
        for (int round = 0; round < ROUNDS; round++) {
            __typeof__(in[0][0]) *numbers = in[round];
            int place = 0;
            if (type == 0) {
%(singles)s
            } else {
%(doubles)s
            }
            fwrite(out, 32, (size_t)place, stdout);
        }
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def multiply_adds(guests: Guests) -> Path:
    singles, doubles = (
        "\n".join(statement for statement in STATEMENTS if statement.startswith(f"ONE({letter}"))
        for letter in "sd"
    )
    fields = {"rounds": ROUNDS, "statements": len(STATEMENTS)}
    source = PROGRAM % {**fields, "singles": singles, "doubles": doubles}
    return guests.compile(source, "-mavx2", "-mfma")


def _both_ways(guests: Guests, program: Path, kind: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return the counts of the program's own functions, with a kind of access apart and joined."""
    apart, joined = (
        nine(guests.run(program, *options).told, library=program)
        for options in ((f"--as-cachegrind={kind}",), ())
    )
    return apart, joined


@pytest.mark.parametrize("source", ["memory.c", "masked.c"])
def test_counts_are_cachegrinds(guests: Guests, source: str) -> None:
    program = guests.compile(Path(source), "-mcx16", "-mavx2")
    assert nine(guests.run(program, AS_CACHEGRIND).told) == guests.cachegrind(program)


def test_counts_of_fused_multiply_adds_are_cachegrinds_where_lanes_are_operands(
    guests: Guests, multiply_adds: Path
) -> None:
    told = guests.run(multiply_adds, AS_CACHEGRIND).told
    assert nine(told) == guests.cachegrind(multiply_adds)


def test_an_operand_of_a_fused_multiply_add_is_read_once(
    guests: Guests, multiply_adds: Path
) -> None:
    by_lane, once = _both_ways(guests, multiply_adds, "lanes")
    lanes = sum(form.lanes - 1 for form in FORMS if form.has_memory)
    chained = sum(4 * (count - 1) for count in (8, 4, 4, 2))
    assert by_lane.pop("Dr") - once.pop("Dr") == ROUNDS * (lanes + chained)
    assert by_lane == once


def test_fused_multiply_adds_are_the_processors_to_the_last_bit(
    guests: Guests, multiply_adds: Path
) -> None:
    native = subprocess.run([multiply_adds], capture_output=True, check=True).stdout
    simulated = guests.run(multiply_adds).output
    singles = sum(statement.startswith("ONE(s") for statement in STATEMENTS)
    doubles = len(STATEMENTS) - singles
    assert len(native) == len(simulated) == ROUNDS * 32 * len(STATEMENTS)
    for type_, part in (
        (np.float32, slice(0, ROUNDS * 32 * singles)),
        (np.float64, slice(ROUNDS * 32 * singles, ROUNDS * 32 * (singles + doubles))),
    ):
        expected, found = (np.frombuffer(output[part], type_) for output in (native, simulated))
        # Valgrind's negation has another sign where there is no number.
        numbers = ~np.isnan(expected)
        assert numbers.sum() > 0.9 * len(numbers)
        assert expected[numbers].tobytes() == found[numbers].tobytes()
        assert np.isnan(found[~numbers]).all()


def test_a_masked_move_is_one_access_of_the_lanes_that_are_done(guests: Guests) -> None:
    program = guests.compile(Path("masked.c"), "-mavx2")
    by_lane, once = _both_ways(guests, program, "masks")
    # By mask, how many lanes each of the loads does beyond the first.
    rest = (7 + 3 + 7 + 1) + 0 + (2 + 1 + 2 + 1) + 0
    for direction in ("Dr", "Dw"):
        assert by_lane.pop(direction) - once.pop(direction) == 100 * rest
    assert by_lane == once


def test_an_atomic_operation_is_one_access(guests: Guests) -> None:
    program = guests.compile(Path("memory.c"), "-mcx16")
    by_lane, once = _both_ways(guests, program, "atomics")
    # In each of 50 rounds an addition, an or and an exchange, which are read twice there.
    assert by_lane.pop("Dr") - once.pop("Dr") == 3 * 50
    assert by_lane == once
