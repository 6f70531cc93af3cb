"""What a signal's handler raises, at any bytecode of a part of the package."""


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
