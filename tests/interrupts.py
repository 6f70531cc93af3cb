"""What a signal's handler raises, or a thread waits for, at a bytecode of the package."""

import sys
from threading import Event


class Interrupt:
    """Traces a call, and raises an error at its n-th bytecode in the files below a path."""

    def __init__(self, n, path, error=KeyboardInterrupt):
        self.left, self.path, self.error = n, path, error

    def __call__(self, frame, event, arg):
        if not frame.f_code.co_filename.startswith(self.path):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and frame.f_lineno:  # not where Python closes a generator
            self.left -= 1
            if self.left < 0:
                raise self.error
        return self


class Halt:
    """Traces a thread, which waits at its n-th bytecode in `tell` until it may go on."""

    def __init__(self, n):
        self.left, self.there, self.go_on = n, Event(), Event()

    def __call__(self, frame, event, arg):
        name = frame.f_code.co_name
        if name == "_begin":  # it is in
            self.left = -1
        if self.left < 0 or not frame.f_code.co_filename.endswith("iteration.py"):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left < 0:
                self.there.set()
                self.go_on.wait(60)
        return self


def _first(frame, event, arg):
    frame.f_trace_opcodes = True
    return _first


before = sys.gettrace()
sys.settrace(_first)  # CPython 3.12.1 shows no bytecodes to the first that asks for them
(lambda: None)()
sys.settrace(before)
