"""The C parts; everything else about the package is in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "powerml.simulate._client_requests",
            ["src/powerml/simulate/_client_requests.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            # Without a compiler or Valgrind's headers the package must still install:
            # only the simulator needs this module, and says so.
            optional=True,
        ),
        Extension(
            "powerml.simulate._clock",
            ["src/powerml/simulate/_clock.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            optional=True,
        ),
    ]
)
