"""The keeper: a small program that the runner starts once and that forks single-threaded supervisors of stages.

It is run as `python -I -S keeper.py FD` would be, from its byte code, and imports the standard library alone. Why a
program of its own: the runner has threads and much memory, so forking there is unsafe and slow; here a fork costs well
under a millisecond, and the peak memory that the kernel reports for a stage does not start at that of the runner (Linux
carries the high-water mark over fork and exec).

On the socket FD comes one byte for each supervisor that is wanted (the level: `g`, `p` or `o`) with a descriptor: its
control socket. There it takes one stage after the other, since forking costs more than most of what the runner itself
does for a stage. A request is a 4-byte length, with it as a descriptor the pipe for the output, and a marshalled value
(see `run`). Single bytes may follow: `t` (SIGTERM to the stage's process group) and `k` (kill everything). The end of
the stream means that the runner is gone, or needs no more of it, and kills everything too. It answers each request
once, with a 4-byte length and marshalled: `{"setup": text}` when the level could not be entered (no command was
started), else the fields of `answer`.

    g  group: the supervisor is the child subreaper of everything the stage starts, and kills by a walk of /proc
    p  pid: each stage has a process 1 of a PID namespace with its own /proc; when it ends the kernel kills the rest
    o  overlay+pid: in addition an overlay is mounted over the worktree's own path

At the last two, files and folders that the stage must not see are hidden behind mounts (see `hide`), and the folders
above them cannot be moved (see `fix`).
"""

from __future__ import annotations

import ctypes
import gc
import marshal
import os
import resource
import select
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    from collections.abc import Iterator
    from typing import Any, NoReturn
else:  # the same without their enumerations, which need a dozen modules: each page of memory costs in every fork
    import _signal as signal
    import _socket as socket

PR_SET_PDEATHSIG = 1
PR_CAPBSET_READ, PR_CAPBSET_DROP = 23, 24
PR_SET_CHILD_SUBREAPER = 36
LOCKED_AWAY = {
    "dac_read_search": 2,  # opens a file by its handle, whatever is mounted over its path
    "sys_module": 16,
    "sys_rawio": 17,
    "sys_ptrace": 19,  # of others' processes; tracing children of the same user needs none
    "sys_admin": 21,  # mounts
    "sys_boot": 22,
    "mknod": 27,  # makes disks
    "audit_write": 29,
    "audit_control": 30,
    "syslog": 34,
    "audit_read": 37,
    "perfmon": 38,
    "bpf": 39,
}
"""Capabilities, by their numbers in linux/capability.h, with which root looks behind a mount or into the kernel."""
known_here: list[int] = []  # those of them that this kernel knows, found out before a stage is forked
CAPABILITIES_VERSION = 0x20080522
CLONE_CALLS = {"x86_64": 56, "aarch64": 220, "riscv64": 220}
"""The number of the system call `clone`, by machine."""
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 0x20
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
NOT_STARTED = 127
"""The exit code that a shell gives for a command that cannot be started."""
CLEARING_SECONDS = 5.0
"""How long leftovers may take to die after SIGKILL (a process in an uninterruptible sleep may never)."""

# Python's lock is kept over the calls: there is one thread, and `clone` must come back in two processes that have it.
libc = ctypes.PyDLL(None, use_errno=True)
libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
libc.syscall.argtypes = (ctypes.c_long,) * 6
libc.syscall.restype = ctypes.c_long
libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


class SetupError(Exception):
    """The level of isolation cannot be entered here; nothing of the stage has been started."""


def check(result: int, what: str) -> None:
    """Raise `SetupError` naming `what` when a call of the C library failed."""
    if result != 0:
        raise SetupError(f"{what}: {os.strerror(ctypes.get_errno())}")


# --- the program that forks -----------------------------------------------------------------------------------------


def serve(requests: socket.socket) -> None:
    """Fork supervisors until the runner closes its end."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake = wakeup_descriptor()
    supervisors: set[int] = set()
    user_namespace = -1
    poll = select.poll()
    poll.register(requests, select.POLLIN)
    poll.register(wake, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in poll.poll()}
        if wake in ready:
            os.read(wake, 4096)
            bury(supervisors)
        if requests.fileno() not in ready:
            continue
        level, descriptors = receive(requests, 1)
        if len(descriptors) != 1:
            return
        if level != b"g" and user_namespace < 0:
            user_namespace = prepare_user_namespace()
        pid = os.fork()
        if pid == 0:
            requests.close()
            supervise(level, socket.socket(fileno=descriptors[0]), user_namespace)
        supervisors.add(pid)
        os.close(descriptors[0])


def receive(source: socket.socket, size_bytes: int) -> tuple[bytes, list[int]]:
    """The next bytes, so many at most, with the descriptor that came with them; none when the other end is closed."""
    data, ancillary, _, _ = source.recvmsg(size_bytes, socket.CMSG_SPACE(4), getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    raw = b"".join(data for _, _, data in ancillary)
    return data, list(memoryview(raw).cast("i")) if raw else []


def wakeup_descriptor() -> int:
    """A descriptor that becomes readable when a child has ended; termination signals of a terminal or a service
    manager are left to the runner."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def bury(supervisors: set[int]) -> None:
    """Reap the supervisors that have ended; one that was killed from outside may have left orphans here, which are
    killed."""
    died_badly = False
    for pid, status, _ in ended_children():
        died_badly |= os.WIFSIGNALED(status) and pid in supervisors
        supervisors.discard(pid)
    if died_badly:
        time.sleep(0.01)
        for pid in descendants(os.getpid(), spare=supervisors):
            kill(pid, signal.SIGKILL)


def prepare_user_namespace() -> int:
    """A descriptor of a user namespace in which everybody keeps their own ids; -1 where the system does not allow one.

    One for all stages: joining it is cheaper than a new one each, and the ids of root can only be mapped from outside.
    """
    reading, writing = os.pipe()
    holder = os.fork()
    if holder == 0:
        os.close(reading)
        signal.set_wakeup_fd(-1)
        os.write(writing, b"1" if libc.unshare(CLONE_NEWUSER) == 0 else b"0")
        signal.pause()
        os._exit(0)
    os.close(writing)
    try:
        if os.read(reading, 1) != b"1":
            return -1
        map_ids(holder)
        return os.open(f"/proc/{holder}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1  # stages then report at their own set-up that the namespace is missing
    finally:
        os.close(reading)
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)


def map_ids(holder: int) -> None:
    """Map every id that we may map to itself: all of them for root, else our own user and group."""
    try:
        write_map(holder, "uid_map", identity("uid_map"))
        write_map(holder, "gid_map", identity("gid_map"))
    except PermissionError:
        write_map(holder, "uid_map", f"{os.geteuid()} {os.geteuid()} 1")
        write_map(holder, "setgroups", "deny")
        write_map(holder, "gid_map", f"{os.getegid()} {os.getegid()} 1")


def identity(name: str) -> str:
    """The ranges of ids of our own namespace, each mapped to itself."""
    with open(f"/proc/self/{name}") as file:
        ranges = [line.split() for line in file]
    return "\n".join(f"{inside} {inside} {count}" for inside, _, count in ranges)


def write_map(pid: int, name: str, text: str) -> None:
    """Write one of the id maps of a process: one write call, as the kernel demands."""
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


# --- the supervisor of stages -----------------------------------------------------------------------------------------


def supervise(level: bytes, control: socket.socket, user_namespace: int) -> NoReturn:
    """Be the supervisor of one stage after the other, in a forked child; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        if level == b"g":
            libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            wake = wakeup_descriptor()
            while True:
                request, output = next_request(control)
                reply(control, output, run(request, control, output, in_namespace=False, wake=wake))
        why_not = join_user_namespace(user_namespace)
        while True:
            request, output = next_request(control)
            if why_not:
                reply(control, output, {"setup": why_not})
            else:
                run_in_namespaces(level, request, control, output)
    except OSError:
        os._exit(1)  # the runner is gone, or its end is closed: nobody is left to tell
    finally:
        os._exit(0)


def next_request(control: socket.socket) -> tuple[dict[str, Any], int]:
    """The marshalled request of a stage, and the pipe for its output; both ends run the same interpreter.

    Raises OSError when there will be none.
    """
    head, descriptors = receive(control, 4)
    size = int.from_bytes(head + read_exactly(control, 4 - len(head)), "big")
    request: dict[str, Any] = marshal.loads(read_exactly(control, size))
    return request, descriptors[0]


def reply(control: socket.socket, output: int, answer: dict[str, Any]) -> None:
    """Say how a stage went; its output has ended then."""
    os.close(output)
    data = marshal.dumps(answer)
    control.sendall(len(data).to_bytes(4, "big") + data)


def read_exactly(control: socket.socket, size: int) -> bytes:
    """`size` bytes; OSError when the stream ends before."""
    data = control.recv(size) if size else b""
    if not data and size:
        raise OSError("the runner is gone")
    while len(data) < size:
        chunk = control.recv(size - len(data))
        if not chunk:
            raise OSError("the runner is gone")
        data += chunk
    return data


def join_user_namespace(user_namespace: int) -> str:
    """Enter the user namespace of all stages, where every right over their own namespaces is; empty, or why not."""
    if user_namespace < 0:
        return "user namespaces are not allowed here"
    known_here.extend(number for number in LOCKED_AWAY.values() if libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0)
    if libc.setns(user_namespace, CLONE_NEWUSER) != 0:
        return f"user namespace: {os.strerror(ctypes.get_errno())}"
    return ""


def run_in_namespaces(level: bytes, request: dict[str, Any], control: socket.socket, output: int) -> None:
    """Run a stage below a process 1 of its own; when that ends without an answer, so does the supervisor.

    The end of the namespaces is not waited for: it takes longer than most of the rest, and nobody is left in them.
    """
    supervisor = os.getpid()
    answered, told = os.pipe()
    process_one = new_process_one()
    if process_one == 0:
        be_process_one(level, request, control, output, told)
    if process_one < 0:
        reply(control, output, {"setup": f"PID and mount namespace: {os.strerror(ctypes.get_errno())}"})
        os.write(told, b"1")
        if os.getpid() != supervisor:  # the one between that was to become two
            os._exit(0)
    else:
        os.close(output)
    os.close(told)
    has_answered = os.read(answered, 1)
    os.close(answered)
    for _ in ended_children():
        continue
    if not has_answered:
        os._exit(1)


def be_process_one(level: bytes, request: dict[str, Any], control: socket.socket, output: int, told: int) -> NoReturn:
    """Make the namespaces what the stage shall find, run it, answer, and tell the supervisor that this was done."""
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        try:
            enter(level, request)
        except (SetupError, OSError) as error:
            how = {"setup": str(error)}
        else:
            how = run(request, control, output, in_namespace=True, wake=wakeup_descriptor())
        reply(control, output, how)
        os.write(told, b"1")
    finally:
        os._exit(0)


def new_process_one() -> int:
    """Become two, the second in a PID namespace and a mount namespace of its own: its process id, 0 in itself, or
    less where the system does not allow it.

    By one system call where its number is known: a fork that makes the namespaces for a fork of its own costs twice.
    """
    number = CLONE_CALLS.get(os.uname().machine)
    if number is not None:
        return int(libc.syscall(number, CLONE_NEWPID | CLONE_NEWNS | signal.SIGCHLD, 0, 0, 0, 0))
    between = os.fork()
    if between:
        return between
    if libc.unshare(CLONE_NEWPID | CLONE_NEWNS) != 0:
        return -1
    process_one = os.fork()
    if process_one:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(process_one, 0)[1]) & 0xFF)
    return 0


def enter(level: bytes, request: dict[str, Any]) -> None:
    """Make the mount namespace that this process is alone in what the stage shall see. Raises SetupError."""
    check(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "private mounts")
    fix(request.get("fixed", ()))
    if level == b"o":
        mount_overlay(request["worktree"], request["upper"], request["work"])
    # without its own /proc a program that looks itself up by its process id would find somebody else
    check(libc.mount(b"proc", b"/proc", b"proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, None), "/proc of the PID namespace")
    hide(request.get("hidden", ()))
    if request.get("locked"):
        protect_kernel_settings()
        lock_mounts()


def fix(folders: list[bytes]) -> None:
    """Mount folders, those that hold others first, over themselves: in its namespace nobody renames or removes what
    something is mounted on. With what is mounted below them, which could else be looked behind."""
    for folder in folders:
        if os.path.isdir(folder):
            check(libc.mount(folder, folder, None, MS_BIND | MS_REC, None), "holding a folder in its place")


def hide(paths: list[bytes]) -> None:
    """Put nothing in the place of files and folders; what is not there is hidden already."""
    empty = b""
    for path in sorted(paths):  # a folder before what lies in it
        try:
            is_folder = stat.S_ISDIR(os.stat(path).st_mode)
        except FileNotFoundError:
            continue
        if not is_folder:
            check(libc.mount(b"/dev/null", path, None, MS_BIND, None), "hiding a file")
        elif empty:  # one file system for all: each that is made and ended costs more than all of the rest
            check(libc.mount(empty, path, None, MS_BIND, None), "hiding a folder")
        else:
            flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
            check(libc.mount(b"tmpfs", path, b"tmpfs", flags, b"size=4k,mode=755"), "hiding a folder")
            empty = path


def protect_kernel_settings() -> None:
    """Let root change no setting of the kernel, which belongs to the whole host: `core_pattern` names a program that
    would run outside of all namespaces. Nobody else may write there anyway."""
    if os.geteuid() != 0:
        return
    settings = b"/proc/sys"
    flags = MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_BIND
    check(libc.mount(settings, settings, None, MS_BIND, None), "kernel settings")
    check(libc.mount(None, settings, None, flags, None), "kernel settings")


def lock_mounts() -> None:
    """Let nobody in here change mounts from now on, root neither: in a user namespace of their own, where they may,
    those that they find cannot be taken away. Root keeps what ordinary work needs: owners, modes, users."""
    for capability in known_here:
        check(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "locking mounts")
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()
    check(libc.capget(header, sets), "locking mounts")
    for word in range(2):
        kept = ~sum(1 << number % 32 for number in LOCKED_AWAY.values() if number // 32 == word)
        for number in range(3):  # effective, permitted, inheritable
            sets[3 * word + number] &= kept
    check(libc.capset(header, sets), "locking mounts")


def mount_overlay(worktree: bytes, upper: bytes, work: bytes) -> None:
    """Mount an overlay over `worktree`; the layers are named by descriptor, so no character of a path can be an
    option."""
    layers = [os.open(path, os.O_PATH | os.O_DIRECTORY) for path in (worktree, upper, work)]
    names = (b"lowerdir", b"upperdir", b"workdir")
    options = b",".join(b"%s=/proc/self/fd/%d" % pair for pair in zip(names, layers, strict=True))
    check(libc.mount(b"overlay", worktree, b"overlay", 0, options + b",userxattr"), "overlay")
    for layer in layers:
        os.close(layer)


def run(
    request: dict[str, Any], control: socket.socket, output: int, *, in_namespace: bool, wake: int
) -> dict[str, Any]:
    """Run the commands of a request one after the other, stop at the first that fails, and clear away what is left.

    Fields of the request, all bytes: commands (a list of argument lists, the program's path first), directory, folder
    (the directory as the stage names it), environment, stdin (a file, where there is any); with an overlay worktree,
    upper, work. And where there is a namespace: hidden, paths of what the stage must not see, fixed, folders that must
    stay where they are, and locked, whether nobody may look behind what is hidden.
    """
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    begun = time.monotonic()
    statuses: list[int] = []
    used = Used()
    going_on = True
    for command in request["commands"]:
        if any(descriptor == control.fileno() for descriptor, _ in poll.poll(0)):
            break  # stopped before it began
        try:
            os.chdir(request["directory"])
        except OSError as error:
            folder = os.fsdecode(request["folder"])
            text = (
                f"runner: the working folder {folder} cannot be entered: {error.strerror}; it is there if the commit "
            )
            os.write(output, f"{text}has a file in it, or an input or an output lies in it\n".encode(errors="replace"))
            statuses.append(NOT_STARTED << 8)
            break
        try:
            pid = start(command, request, output)
        except OSError as error:
            os.write(output, f"runner: the command cannot be started: {error}\n".encode(errors="replace"))
            statuses.append(NOT_STARTED << 8)
            break
        status = None
        while status is None:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if control.fileno() in ready:
                going_on = False
                if control.recv(1) != b"t":
                    statuses.append(int(signal.SIGKILL))
                    return answer(statuses, begun, used, in_namespace=in_namespace, wake=wake)
                kill(-pid, signal.SIGTERM)
            if wake in ready:
                os.read(wake, 4096)
                for ended, how, usage in ended_children():
                    used.add(usage)
                    status = how if ended == pid else status
        statuses.append(status)
        if status != 0 or not going_on:
            break
    return answer(statuses, begun, used, in_namespace=in_namespace, wake=wake)


class Used:
    """What the kernel counted for a stage: of each process that was waited for, with all that it had waited for."""

    def __init__(self) -> None:
        self.cpu_seconds = 0.0
        self.max_rss_kib = 0

    def add(self, usage: resource.struct_rusage) -> None:
        """Count one more process that has ended."""
        self.cpu_seconds += usage.ru_utime + usage.ru_stime
        self.max_rss_kib = max(self.max_rss_kib, usage.ru_maxrss)


def answer(statuses: list[int], begun: float, used: Used, *, in_namespace: bool, wake: int) -> dict[str, Any]:
    """Clear away what is left, then say how it went: wait statuses, seconds, and what the kernel counted for the
    whole tree."""
    seconds = time.monotonic() - begun
    cleared = clear(used, in_namespace=in_namespace, wake=wake)
    os.chdir("/")
    return {
        "statuses": statuses,
        "seconds": seconds,
        "cpu_seconds": used.cpu_seconds,
        "max_rss_kib": used.max_rss_kib,
        "cleared": cleared,
    }


def start(command: list[bytes], request: dict[str, Any], output: int) -> int:
    """Start one command in a session of its own; gives its process id.

    By posix_spawn, which does not copy our page tables as a fork would. Raises OSError when it cannot be started.
    """
    return os.posix_spawn(
        command[0],
        command,
        request["environment"],
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, request.get("stdin", b"/dev/null"), os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ],
    )


def clear(used: Used, *, in_namespace: bool, wake: int) -> bool:
    """Kill and reap everything that the stage left behind; False when something does not die."""
    deadline = time.monotonic() + CLEARING_SECONDS
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    while any_children(used):
        if time.monotonic() > deadline:
            return False
        if in_namespace:
            kill(-1, signal.SIGKILL)
        else:
            for pid in descendants(os.getpid(), spare=set()):
                kill(pid, signal.SIGKILL)
        if poll.poll(20):
            os.read(wake, 4096)
    return True


# --- processes ------------------------------------------------------------------------------------------------------


def ended_children() -> Iterator[tuple[int, int, resource.struct_rusage]]:
    """Reap every child that has ended: process id, wait status, and what it and what it waited for have used."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status, usage


def any_children(used: Used) -> bool:
    """Whether a child is left, once those that have ended are reaped, and counted."""
    try:
        while (ended := os.wait4(-1, os.WNOHANG))[0]:
            used.add(ended[2])
    except ChildProcessError:
        return False
    return True


def descendants(root: int, *, spare: set[int]) -> list[int]:
    """Every process below `root`, by a walk of /proc, without the children in `spare` and what is below them."""
    children: dict[int, list[int]] = {}
    for pid in map(int, filter(str.isdigit, os.listdir("/proc"))):
        children.setdefault(parent_of(pid), []).append(pid)
    found, rest = list[int](), [pid for pid in children.get(root, ()) if pid not in spare]
    while rest:
        pid = rest.pop()
        found.append(pid)
        rest += children.get(pid, ())
    return found


def parent_of(pid: int) -> int:
    """The parent's process id; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[1])
    except (OSError, IndexError):
        return 0


def kill(pid: int, number: int) -> None:
    """Send a signal; a process that is gone, or is not ours to kill, is left to the check whether anything remains."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    gc.disable()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
