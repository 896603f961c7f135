/* The instrument's requests for scopes, for Python. Outside the instrument nothing is asked. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../instrument/requests.h"

static unsigned long ask(unsigned long request, const char *name)
{
    return VALGRIND_DO_CLIENT_REQUEST_EXPR(0, request, name, 0, 0, 0, 0);
}

static PyObject *is_in_instrument(PyObject *self, PyObject *unused)
{
    return PyBool_FromLong(ask(POWERML_GET_INTERFACE, NULL) == POWERML_INTERFACE);
}

static PyObject *start(PyObject *self, PyObject *unused)
{
    ask(POWERML_START, NULL);
    Py_RETURN_NONE;
}

static PyObject *push(PyObject *self, PyObject *name)
{
    const char *text = PyUnicode_AsUTF8AndSize(name, NULL);
    if (text == NULL)
        return NULL;
    ask(POWERML_PUSH, text);
    Py_RETURN_NONE;
}

static PyObject *pop(PyObject *self, PyObject *unused)
{
    ask(POWERML_POP, NULL);
    Py_RETURN_NONE;
}

/* A context that does nothing, at the least cost. */
static PyObject *enter(PyObject *self, PyObject *unused)
{
    Py_RETURN_NONE;
}

static PyObject *leave(PyObject *self, PyObject *const *arguments, Py_ssize_t count)
{
    Py_RETURN_NONE;
}

static PyMethodDef context_methods[] = {
    {"__enter__", enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))leave, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot context_slots[] = {
    {Py_tp_doc, "A context that does nothing."},
    {Py_tp_methods, context_methods},
    {0, NULL},
};

static PyType_Spec context = {
    .name = "powerml.scopes._requests.Context",
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = context_slots,
};

static PyMethodDef methods[] = {
    {"is_in_instrument", is_in_instrument, METH_NOARGS,
     "Tell whether this process runs in the instrument."},
    {"start", start, METH_NOARGS, "Begin to count, with empty caches."},
    {"push", push, METH_O, "Charge what follows to a scope inside the open one."},
    {"pop", pop, METH_NOARGS, "Leave the innermost scope."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_requests", "The instrument's requests for scopes.", -1, methods,
};

PyMODINIT_FUNC PyInit__requests(void)
{
    PyObject *made = PyModule_Create(&module);
    PyObject *type = made == NULL ? NULL : PyType_FromSpec(&context);
    if (type == NULL || PyModule_AddObjectRef(made, "Context", type) < 0)
        Py_CLEAR(made);
    Py_XDECREF(type);
    return made;
}
