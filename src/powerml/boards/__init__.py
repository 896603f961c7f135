"""Boards: code of Arm processors on this host, under ``qemu-aarch64``.

The ARM side is a folder with Debian's Python for arm64 and the runtimes' aarch64 wheels.
"""

from powerml.boards.board_root import make_board_root
from powerml.boards.emulator import Emulator, find_emulator
from powerml.boards.place import FOLDER_VARIABLE, boards_folder
from powerml.boards.prepare import PreparationPlan, plan_preparation, prepare_arm_side
from powerml.boards.side import ArmSide, find_arm_side, forget_arm_side
from powerml.boards.wheels import BOARD_RUNTIMES

__all__ = [
    "BOARD_RUNTIMES",
    "FOLDER_VARIABLE",
    "ArmSide",
    "Emulator",
    "PreparationPlan",
    "boards_folder",
    "find_arm_side",
    "find_emulator",
    "forget_arm_side",
    "make_board_root",
    "plan_preparation",
    "prepare_arm_side",
]
