"""Small WebAssembly components, put together byte by byte (component model, binary format), as Debian has no tool for it."""

CORE_HEADER = b"\0asm\x01\0\0\0"
HEADER = b"\0asm\x0d\0\x01\0"
S32, I32 = 0x7a, 0x7f


def name(text):
    return bytes([len(text)]) + text.encode()


def section(number, content):
    assert len(content) < 128
    return bytes([number, len(content)]) + content


def core_function(export, parameters, code):
    """A core module with one function of i32 parameters and one i32 result."""
    body = bytes([0]) + code + b"\x0b"
    return CORE_HEADER + b"".join([
        section(1, bytes([1, 0x60, parameters, *[I32] * parameters, 1, I32])),
        section(3, bytes([1, 0])),
        section(7, bytes([1]) + name(export) + bytes([0, 0])),
        section(10, bytes([1, len(body)]) + body)])


def lifted(core, export, types, type_index):
    """The core module instantiated, and its export as component function 0."""
    return HEADER + b"".join([
        section(1, core),
        section(2, bytes([1, 0, 0, 0])),  # instantiate module 0 with nothing
        section(6, bytes([1, 0, 0, 1, 0]) + name(export)),  # alias of that export: core function 0
        section(7, types),
        section(8, bytes([1, 0, 0, 0, 0, type_index]))])  # canon lift


def adder():
    """export add: func(a: s32, b: s32) -> s32"""
    core = core_function("add", 2, bytes([0x20, 0, 0x20, 1, 0x6a]))
    types = bytes([1, 0x40, 2]) + name("a") + bytes([S32]) + name("b") + bytes([S32, 0, S32])
    return lifted(core, "add", types, 0) + section(11, bytes([1, 0]) + name("add") + bytes([1, 0, 0]))


def command(succeeds):
    """A component that exports wasi:cli/run, whose run does nothing but succeed or fail."""
    core = core_function("run", 0, bytes([0x41, 0 if succeeds else 1]))
    types = bytes([2, 0x6a, 0, 0, 0x40, 0, 0, 0])  # type 0: result; type 1: func() -> type 0
    instance = section(5, bytes([1, 1, 1, 0]) + name("run") + bytes([1, 0]))
    return lifted(core, "run", types, 1) + instance + section(11, bytes([1, 0]) + name("wasi:cli/run@0.2.0") + bytes([5, 0, 0]))


def http_server():
    """What is taken for a component that serves HTTP; never run."""
    return HEADER + section(0, name("note") + b"wasi:http/incoming-handler@0.2.0")
