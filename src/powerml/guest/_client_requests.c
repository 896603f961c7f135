/* Requests to the instrument or to Callgrind, for Python, the tie to the parent, and its clock.
 *
 * Outside a simulator requests do nothing.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <valgrind/callgrind.h>

#include "../instrument/requests.h"

#define CACHE_LINE_BYTES 64
#define NAME_BYTES 64
#define MOST_COUNTERS 502
#define TELLING_BYTES 65536 /* what telling itself may add to what is told */

/* One mark as it is written into a file. Its length is always the same, whatever the caches are that
 * are simulated: the measured process must not tell them apart. */
struct record {
    char name[NAME_BYTES];
    uint64_t status, count;
    uint64_t counters[MOST_COUNTERS];
};

static struct record record __attribute__((aligned(CACHE_LINE_BYTES)));
static int marks = -1; /* the file */

static unsigned long ask(unsigned long request, unsigned long one, unsigned long two)
{
    return VALGRIND_DO_CLIENT_REQUEST_EXPR(0, request, one, two, 0, 0, 0);
}

static int is_in_instrument(void)
{
    return ask(POWERML_GET_INTERFACE, 0, 0) == POWERML_INTERFACE;
}

static PyObject *running_on_valgrind(PyObject *self, PyObject *unused)
{
    return PyLong_FromLong((long)RUNNING_ON_VALGRIND);
}

static PyObject *start_instrumentation(PyObject *self, PyObject *unused)
{
    CALLGRIND_START_INSTRUMENTATION;
    ask(POWERML_START, 0, 0);
    Py_RETURN_NONE;
}

static PyObject *zero_stats(PyObject *self, PyObject *unused)
{
    CALLGRIND_ZERO_STATS;
    ask(POWERML_ZERO, 0, 0);
    Py_RETURN_NONE;
}

/* Callgrind has a log of its own, and needs no file. */
static PyObject *open_marks(PyObject *self, PyObject *path)
{
    const char *name = PyUnicode_AsUTF8AndSize(path, NULL);
    if (name == NULL)
        return NULL;
    if (!is_in_instrument())
        Py_RETURN_NONE;
    marks = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (marks < 0)
        return PyErr_SetFromErrnoWithFilename(PyExc_OSError, name);
    Py_RETURN_NONE;
}

/* Write a name and the counts so far into the file of marks, or Callgrind's into Valgrind's log. A
 * dump would hold the same in its line `summary:`, but takes a hundred times as long. */
static PyObject *mark(PyObject *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    if (text == NULL)
        return NULL;
    if (marks < 0) {
        VALGRIND_PRINTF("mark %s\n", text);
        VALGRIND_MONITOR_COMMAND("status internal");
        Py_RETURN_NONE;
    }
    /* strncpy does more or less work by where the name lies. */
    memset(record.name, 0, NAME_BYTES);
    for (size_t i = 0; i < NAME_BYTES - 1 && text[i] != 0; i++)
        record.name[i] = text[i];
    record.count = ask(POWERML_COUNTERS, 0, 0);
    record.status = ask(POWERML_READ, (unsigned long)record.counters, sizeof record.counters);
    if (write(marks, &record, sizeof record) != sizeof record)
        return PyErr_SetFromErrno(PyExc_OSError);
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

/* The system's monotonic clock, whatever clock the measured process sees. */
static PyObject *monotonic_seconds(PyObject *self, PyObject *unused)
{
    struct timespec now;
    ask(POWERML_HOST_CLOCK, 1, 0);
    long failed = syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    ask(POWERML_HOST_CLOCK, 0, 0);
    if (failed)
        return PyErr_SetFromErrno(PyExc_OSError);
    return PyFloat_FromDouble((double)now.tv_sec + (double)now.tv_nsec / 1e9);
}

/* Counts must not tell a profile from a measurement: a measurement asks for as much, by the same path,
 * but for something else. Returns the request for PLAIN or PROFILED of powerml/guest/request.py. */
static unsigned long for_profile(PyObject *kind, unsigned long wanted)
{
    const unsigned long requests[] = {POWERML_COUNTERS, POWERML_COUNTERS, wanted, POWERML_COUNTERS};
    return requests[PyLong_AsLong(kind) & 3];
}

static PyObject *charge_functions(PyObject *self, PyObject *kind)
{
    ask(for_profile(kind, POWERML_FUNCTIONS), 0, 0);
    Py_RETURN_NONE;
}

/* The text is longer than what memory is asked for before: the room for it is the system's own. */
static PyObject *tell(PyObject *self, PyObject *path)
{
    const char *name = PyUnicode_AsUTF8AndSize(path, NULL);
    if (name == NULL)
        return NULL;
    unsigned long bytes = ask(POWERML_TELL, 0, 0);
    size_t room = bytes + TELLING_BYTES;
    void *text = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        return PyErr_NoMemory();
    bytes = ask(POWERML_TELL, (unsigned long)text, room);
    int file = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int written = bytes <= room && file >= 0;
    for (unsigned long done = 0; written && done < bytes;) {
        ssize_t more = write(file, (char *)text + done, bytes - done);
        written = more > 0;
        done += written ? (unsigned long)more : 0;
    }
    if (file >= 0)
        close(file);
    munmap(text, room);
    if (!written)
        return PyErr_SetFromErrnoWithFilename(PyExc_OSError, name);
    Py_RETURN_NONE;
}

static PyObject *segment(PyObject *self, PyObject *name)
{
    const char *text = NULL;
    if (name != Py_None && (text = PyUnicode_AsUTF8AndSize(name, NULL)) == NULL)
        return NULL;
    ask(POWERML_SEGMENT, (unsigned long)text, 0);
    Py_RETURN_NONE;
}

static PyObject *segment_looks(PyObject *self, PyObject *on)
{
    ask(POWERML_SEGMENT_LOOKS, (unsigned long)PyObject_IsTrue(on), 0);
    Py_RETURN_NONE;
}

static PyObject *watch(PyObject *self, PyObject *addresses)
{
    Py_buffer buffer;
    if (PyObject_GetBuffer(addresses, &buffer, PyBUF_SIMPLE) != 0)
        return NULL;
    ask(POWERML_WATCH, (unsigned long)buffer.buf, (unsigned long)buffer.len / sizeof(uint64_t));
    PyBuffer_Release(&buffer);
    Py_RETURN_NONE;
}

static PyObject *learn(PyObject *self, PyObject *kind)
{
    ask(for_profile(kind, POWERML_LEARN), 1, 0);
    Py_RETURN_NONE;
}

static PyObject *learn_no_more(PyObject *self, PyObject *unused)
{
    ask(POWERML_LEARN, 0, 0);
    Py_RETURN_NONE;
}

static PyObject *sift(PyObject *self, PyObject *args)
{
    unsigned long from, until;
    if (!PyArg_ParseTuple(args, "kk", &from, &until))
        return NULL;
    ask(POWERML_SIFT, from, until);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"running_on_valgrind", running_on_valgrind, METH_NOARGS,
     "How many Valgrinds this process runs under (0: none)."},
    {"start_instrumentation", start_instrumentation, METH_NOARGS,
     "Start counting. Empties the simulated caches and drops all translations."},
    {"zero_stats", zero_stats, METH_NOARGS,
     "Set the counts to zero. The simulated caches stay as they are."},
    {"open_marks", open_marks, METH_O, "Have marks written into a new file."},
    {"mark", mark, METH_O, "Write the counts so far down, under the given name."},
    {"touch", touch, METH_VARARGS,
     "touch(buffer, row_bytes, rows): read every cache line of some rows of a buffer."},
    {"monotonic_seconds", monotonic_seconds, METH_NOARGS,
     "The system's monotonic clock, whatever clock the process is given."},
    {"charge_functions", charge_functions, METH_O,
     "From now on charge to functions too, in a profile."},
    {"tell", tell, METH_O, "Write what each scope and function has cost into a new file."},
    {"segment", segment, METH_O,
     "Begin a segment of this name, where the one before ends; None begins none."},
    {"segment_looks", segment_looks, METH_O,
     "Have each look at the clock begin a segment, or no more."},
    {"watch", watch, METH_O,
     "Have code at these addresses, 64 bits each in ascending order, begin segments."},
    {"learn", learn, METH_O, "Learn the code that is run from now on, in a profile."},
    {"learn_no_more", learn_no_more, METH_NOARGS, "Learn no more."},
    {"sift", sift, METH_VARARGS,
     "sift(from, until): charge code that was not learnt to a scope of its own, with what it calls "
     "beyond these addresses; with 0 and 0 no more."},
    {"die_with_parent", die_with_parent, METH_NOARGS,
     "Have the kernel kill this process when its parent ends, whatever way."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_client_requests",
    "Requests to the simulator, and the tie to the parent process.", -1, methods,
};

PyMODINIT_FUNC PyInit__client_requests(void)
{
    return PyModule_Create(&module);
}
