"""Spaces of the user's own, whose code fails in any way."""

from __future__ import annotations

from random import Random

from hypothesis import strategies as st

from fuzz.case import Case, Command, Kind, Place
from fuzz.kinds.drawing import of_forms
from fuzz.kinds.places import odd_place
from fuzz.mutations import changed_bytes, changed_text

__all__ = ["KIND"]

WHOLE = '''"""A space."""
import keras

reference = {"units": 4}


def build(trial, task):
    units = trial.suggest_int("units", 2, 8)
    network = keras.Sequential([keras.Input(task.input_shape), keras.layers.Flatten()])
    network.add(keras.layers.Dense(units))
    network.add(keras.layers.Dense(task.outputs))
    return network
'''
# Of the body of `build`, and of whole files. A BaseException of their own is left to the last
# resort, as Ctrl-C is one too.
BODIES = (
    "return None",
    "return 1",
    "return build",
    "return lambda: None",
    "return keras.Sequential()",
    "return keras.layers.Dense(3)",
    "return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])",
    "return keras.Sequential([keras.Input((8, 8)), keras.layers.Dense(10)])",
    "raise ValueError('x' * 100_000)",
    "raise ValueError('a\\nb\\x1b[31m[red]')",
    "raise SystemExit",
    "raise SystemExit('bye')",
    "raise MemoryError",
    "raise RecursionError",
    "raise StopIteration",
    "return build(trial, task)",
    "assert False",
    "trial.suggest_int('units', 8, 2)",
    "trial.suggest_int('units', 1, 10**30)",
    "trial.suggest_int('units', -5, 5); trial.suggest_int('units', 1, 9)",
    "trial.suggest_int('', 1, 2)",
    "trial.suggest_int('a,b=c', 1, 2)",
    "trial.suggest_int('\\udcff', 1, 2)",
    "trial.suggest_int(3, 1, 2)",
    "trial.suggest_int('units', 1, 2, step=0)",
    "trial.suggest_float('units', 0, 1, log=True)",
    "trial.suggest_float('units', float('nan'), 1)",
    "trial.suggest_float('units', 0, float('inf'))",
    "trial.suggest_categorical('units', [])",
    "trial.suggest_categorical('units', [object()])",
    "trial.suggest_categorical('units', ['a', 'a'])",
    "trial.suggest_categorical('units', None)",
    "trial.suggest_nothing('units')",
    "trial.report(1, 2); trial.should_prune()",
    "task.nothing",
    "task.x_train[:] = 0; return None",
    "import os; os.chdir('/'); return None",
    "import sys; sys.stdout.write('x' * 100); return None",
    "print('out'); return None",
    "del trial.params; return None",
    "trial.params['units'] = 3; return None",
    "global build; build = None; return 1",
    "import sys; sys.modules.clear(); return None",
    "import warnings; warnings.warn('odd'); return None",
    "return keras.Sequential([keras.Input(task.input_shape), keras.layers.Dense(10**9)])",
)
FILES = (
    "",
    "\n" * 1000,
    "build = 3\n",
    "build = None\n",
    "reference = 3\n\ndef build(t, k): return 1\n",
    "reference = {'units': object()}\n\ndef build(t, k): return 1\n",
    "def build(): return 1\n",
    "def build(trial): return 1\n",
    "def build(trial, task, more): return 1\n",
    "class build: pass\n",
    "raise SystemExit\n",
    "raise SystemExit(3)\n",
    "import nothing_of_that_name\n",
    "import powerml.nothing\n",
    "from powerml import nothing\n",
    "1 / 0\n",
    "def f(): f()\nf()\n",
    "(" * 500 + ")" * 500 + "\n",
    "x = " + "-" * 100_000 + "1\n",
    "x = " + "+".join(["1"] * 50_000) + "\n",
    "x = '\ud800'\n",
    "# -*- coding: nonsense -*-\n",
    "# -*- coding: latin-1 -*-\nx = 'é'\n",
    "\x00",
    "\ufeffdef build(t, k): return 1\n",
    "import sys; sys.exit(0)\n",
    "import os; os.environ.clear()\n" + WHOLE,
    "import sys; sys.path.clear()\n" + WHOLE,
    "import builtins; del builtins.print\n" + WHOLE,
    "raise KeyError\n",
    "class E(Exception):\n    def __str__(self): raise ValueError\nraise E\n",
    "class E(Exception):\n    def __str__(self): return 3\nraise E\n",
    "def __getattr__(name): raise ValueError(name)\n",
    "def __getattr__(name): return lambda *a: None\n",
    WHOLE + "\ntrain = 3\n",
    WHOLE + "\nscore = 'x'\n",
    WHOLE + "\ndef load(): return None\n",
    WHOLE + "\ndef load(): return {'x_train': 1}\n",
    WHOLE + "\ndef load(): raise SystemExit\n",
    WHOLE + "\ndef load(): return {1: 2}\n",
    WHOLE + "\ndef load(): return {'x_train': [[1.0]], 'y_train': ['a', 'b']}\n",
    WHOLE.replace('{"units": 4}', '{"units": 99}'),
    WHOLE.replace('{"units": 4}', "{\"units\": float('nan')}"),
    WHOLE.replace('{"units": 4}', '{"other": 4}'),
    WHOLE.replace('{"units": 4}', "{3: 4}"),
)
VALUES = (
    "units=4",
    "units=x",
    "units=",
    "units=1e999",
    "units=99",
    "other=1",
    "=",
    "units=4,units=5",
)


def _command(place: Place, content: bytes, random: Random, name: str = "mine.py") -> Command:
    (place.work / name).write_bytes(content)
    return _asking(name, random)


def _asking(name: str, random: Random) -> Command:
    may_write = ("work/__pycache__*", "work/powerml-studies*")
    if random.randrange(3) == 0:
        arguments: tuple[str, ...] = ("optimize", "--space", name, "--trials", "1")
    else:
        values = random.choice(("", f":{random.choice(VALUES)}", ":units=4", ":Name:units=4"))
        arguments = ("measure", f"{name}{values}")
    return Command(arguments, may_write=may_write, runs_user_code=True)


def _changed(place: Place, random: Random) -> Command:
    content = changed_text(WHOLE, random).encode("utf-8", "surrogateescape")
    if random.randrange(4) == 0:
        content = changed_bytes(content, random)
    return _command(place, content, random)


def _body(place: Place, random: Random) -> Command:
    before, _, _ = WHOLE.partition("    units =")
    content = f"{before}    {random.choice(BODIES)}\n"
    return _command(place, content.encode("utf-8", "surrogatepass"), random)


def _file(place: Place, random: Random) -> Command:
    return _command(place, random.choice(FILES).encode("utf-8", "surrogatepass"), random)


def _odd_name(place: Place, random: Random) -> Command:
    names = ("os.py", "keras.py", "1.py", "a b.py", "é.py", "\udcff.py", "class.py", "a.b.py")
    name = random.choice((*names, ".py", "-x.py", "powerml.py", "[red].py", "a\nb.py"))
    return _command(place, WHOLE.encode(), random, name)


def _odd_place(place: Place, random: Random) -> Command:
    odd_place(place.work / "mine.py", random)
    return _asking("mine.py", random)


def _strategy() -> st.SearchStrategy[Case]:
    return of_forms((_changed, _body, _body, _body, _file, _file, _odd_name, _odd_place))


KIND = Kind("spaces", 400, _strategy)
