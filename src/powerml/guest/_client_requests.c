/* Valgrind's client requests, for Python, the tie to the parent process, and its clock.
 *
 * The macros come from the installed valgrind/callgrind.h. Outside Valgrind they do nothing.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#define CACHE_LINE_BYTES 64

static PyObject *running_on_valgrind(PyObject *self, PyObject *unused)
{
    return PyLong_FromLong((long)RUNNING_ON_VALGRIND);
}

static PyObject *start_instrumentation(PyObject *self, PyObject *unused)
{
    CALLGRIND_START_INSTRUMENTATION;
    Py_RETURN_NONE;
}

static PyObject *zero_stats(PyObject *self, PyObject *unused)
{
    CALLGRIND_ZERO_STATS;
    Py_RETURN_NONE;
}

static PyObject *dump_stats_at(PyObject *self, PyObject *name)
{
    PyObject *bytes = PyUnicode_AsUTF8String(name);
    const char *text = bytes == NULL ? NULL : PyBytes_AsString(bytes);
    if (text == NULL) {
        Py_XDECREF(bytes);
        return NULL;
    }
    CALLGRIND_DUMP_STATS_AT(text);
    Py_DECREF(bytes);
    Py_RETURN_NONE;
}

/* Write a name and the counts so far into Valgrind's log. A dump would hold the same in its line
 * `summary:`, but takes a hundred times as long. */
static PyObject *mark(PyObject *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    if (text == NULL)
        return NULL;
    VALGRIND_PRINTF("mark %s\n", text);
    VALGRIND_MONITOR_COMMAND("status internal");
    Py_RETURN_NONE;
}

/* Read one byte of each cache line of some rows, as a training that visits them would. */
static PyObject *touch(PyObject *self, PyObject *args)
{
    Py_buffer buffer;
    Py_ssize_t row_bytes;
    PyObject *rows;
    if (!PyArg_ParseTuple(args, "y*nO!", &buffer, &row_bytes, &PyList_Type, &rows))
        return NULL;
    volatile const char *bytes = buffer.buf;
    for (Py_ssize_t i = 0; i < PyList_Size(rows); i++) {
        Py_ssize_t row = PyLong_AsSsize_t(PyList_GetItem(rows, i));
        if (row < 0 || row_bytes <= 0 || row >= buffer.len / row_bytes) {
            PyBuffer_Release(&buffer);
            if (!PyErr_Occurred())
                PyErr_Format(PyExc_IndexError, "row %zd is not in the buffer", row);
            return NULL;
        }
        for (Py_ssize_t at = row * row_bytes; at < (row + 1) * row_bytes; at += CACHE_LINE_BYTES)
            (void)bytes[at];
    }
    PyBuffer_Release(&buffer);
    Py_RETURN_NONE;
}

static PyObject *die_with_parent(PyObject *self, PyObject *unused)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    Py_RETURN_NONE;
}

/* The system's monotonic clock, asked past the one that the measured process sees (_clock.c). */
static PyObject *monotonic_seconds(PyObject *self, PyObject *unused)
{
    struct timespec now;
    if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now) != 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyFloat_FromDouble((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

static PyMethodDef methods[] = {
    {"running_on_valgrind", running_on_valgrind, METH_NOARGS,
     "How many Valgrinds this process runs under (0: none)."},
    {"start_instrumentation", start_instrumentation, METH_NOARGS,
     "Start counting. Empties the simulated caches and drops all translations."},
    {"zero_stats", zero_stats, METH_NOARGS,
     "Set the counts to zero. The simulated caches stay as they are."},
    {"dump_stats_at", dump_stats_at, METH_O,
     "Write the counts so far into the output file, under the given name."},
    {"mark", mark, METH_O, "Write the counts so far into Valgrind's log, under the given name."},
    {"touch", touch, METH_VARARGS,
     "touch(buffer, row_bytes, rows): read every cache line of some rows of a buffer."},
    {"monotonic_seconds", monotonic_seconds, METH_NOARGS,
     "The system's monotonic clock, whatever clock the process is given."},
    {"die_with_parent", die_with_parent, METH_NOARGS,
     "Have the kernel kill this process when its parent ends, whatever way."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_client_requests",
    "Valgrind's client requests, and the tie to the parent process.", -1, methods,
};

PyMODINIT_FUNC PyInit__client_requests(void)
{
    return PyModule_Create(&module);
}
