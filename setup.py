"""The C parts; everything else about the package is in pyproject.toml."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "powerml.guest._client_requests",
            ["src/powerml/guest/_client_requests.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            # Without a compiler or Valgrind's headers the package must still install:
            # only the simulator needs this module, and says so.
            optional=True,
        ),
        Extension(
            "powerml.guest._clock",
            ["src/powerml/guest/_clock.c"],
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
            optional=True,
        ),
    ]
)
