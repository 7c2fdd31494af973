"""The keeper: a small program that the runner starts once and that forks a single-threaded supervisor for each stage.

It is run as `python -I -S keeper.py FD` and imports the standard library alone. Why a program of its own: the runner
has threads and much memory, so forking there is unsafe and slow; here a fork costs well under a millisecond, and the
peak memory that the kernel reports for a stage does not start at that of the runner (Linux carries the high-water
mark over fork and exec).

On the socket FD comes one byte for each stage (the level: `g`, `p` or `o`) with two descriptors: the stage's control
socket and the pipe for its output. The supervisor reads from the control socket a 4-byte length and a marshalled
request (see `run`), then single bytes: `t` (SIGTERM to the stage's process group) and `k` (kill everything); the end
of the stream means that the runner is gone and kills everything too. It answers once, marshalled:
`{"setup": text}` when the level could not be entered (no command was started), else the fields of `answer`.

    g  group: the supervisor is the child subreaper of everything the stage starts, and kills by a walk of /proc
    p  pid: the supervisor is process 1 of a PID namespace with its own /proc; when it ends the kernel kills the rest
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
import signal
import socket
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any, NoReturn

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
CAPABILITIES_VERSION = 0x20080522
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 0x20
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
NOT_STARTED = 127
"""The exit code that a shell gives for a command that cannot be started."""
CLEARING_SECONDS = 5.0
"""How long leftovers may take to die after SIGKILL (a process in an uninterruptible sleep may never)."""

libc = ctypes.CDLL(None, use_errno=True)
libc.mount.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
libc.prctl.argtypes = (ctypes.c_int, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)


class SetupError(Exception):
    """The level of isolation cannot be entered here; nothing of the stage has been started."""


def check(result: int, what: str) -> None:
    """Raise `SetupError` naming `what` when a call of the C library failed."""
    if result != 0:
        raise SetupError(f"{what}: {os.strerror(ctypes.get_errno())}")


# --- the program that forks -----------------------------------------------------------------------------------------


def serve(requests: socket.socket) -> None:
    """Fork a supervisor for each request until the runner closes its end."""
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
        level, descriptors = receive(requests)
        if len(descriptors) != 2:
            return
        if level != b"g" and user_namespace < 0:
            user_namespace = prepare_user_namespace()
        pid = os.fork()
        if pid == 0:
            requests.close()
            control, output = descriptors
            supervise(level, control, output, user_namespace)
        supervisors.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)


def receive(requests: socket.socket) -> tuple[bytes, list[int]]:
    """The next level byte with its descriptors; no byte when the runner has closed its end."""
    size = socket.CMSG_SPACE(8)
    level, ancillary, _, _ = requests.recvmsg(1, size, getattr(socket, "MSG_CMSG_CLOEXEC", 0))
    raw = b"".join(data for _, _, data in ancillary)
    return level, list(memoryview(raw).cast("i")) if raw else []


def wakeup_descriptor() -> int:
    """A descriptor that becomes readable when a child has ended; termination signals of a terminal or a service
    manager are left to the runner."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    return reading


def bury(supervisors: set[int]) -> None:
    """Reap the supervisors that have ended; one that was killed from outside may have left orphans here, which are
    killed."""
    died_badly = False
    for pid, status in ended_children():
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


# --- the supervisor of one stage ------------------------------------------------------------------------------------


def supervise(level: bytes, control_descriptor: int, output: int, user_namespace: int) -> NoReturn:
    """Be the supervisor of one stage, in a forked child; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        control = socket.socket(fileno=control_descriptor)
        request = read_request(control)
        try:
            enter(level, request, user_namespace, control, output)
        except (SetupError, OSError) as error:
            reply: dict[str, Any] = {"setup": str(error)}
        else:
            reply = run(request, control, output, in_namespace=level != b"g")
        os.close(output)
        control.sendall(marshal.dumps(reply))
    except OSError:
        os._exit(1)  # the runner is gone, or its end is closed: nobody is left to tell
    finally:
        os._exit(0)


def read_request(control: socket.socket) -> dict[str, Any]:
    """The marshalled request of this stage; both ends run the same interpreter."""
    size = int.from_bytes(read_exactly(control, 4), "big")
    request: dict[str, Any] = marshal.loads(read_exactly(control, size))
    return request


def read_exactly(control: socket.socket, size: int) -> bytes:
    """`size` bytes; OSError when the stream ends before."""
    data = bytearray()
    while len(data) < size:
        chunk = control.recv(size - len(data))
        if not chunk:
            raise OSError("the runner is gone")
        data += chunk
    return bytes(data)


def enter(level: bytes, request: dict[str, Any], user_namespace: int, control: socket.socket, output: int) -> None:
    """Enter the level of isolation; for a PID namespace this returns in its process 1 only."""
    if level == b"g":
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return
    if user_namespace < 0:
        raise SetupError("user namespaces are not allowed here")
    check(libc.setns(user_namespace, CLONE_NEWUSER), "user namespace")
    check(libc.unshare(CLONE_NEWPID | CLONE_NEWNS), "PID and mount namespace")
    process_one = os.fork()
    if process_one:
        control.close()
        os.close(output)
        os.waitpid(process_one, 0)
        os._exit(0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
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
    for capability in LOCKED_AWAY.values():
        if libc.prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:  # this kernel knows it
            check(libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "locking mounts")
    header = (ctypes.c_uint32 * 2)(CAPABILITIES_VERSION, 0)
    sets = (ctypes.c_uint32 * 6)()
    check(libc.capget(header, sets), "locking mounts")
    for capability in LOCKED_AWAY.values():
        word, bit = divmod(capability, 32)
        for number in range(3):  # effective, permitted, inheritable
            sets[3 * word + number] &= ~(1 << bit)
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


def run(request: dict[str, Any], control: socket.socket, output: int, *, in_namespace: bool) -> dict[str, Any]:
    """Run the commands of a request one after the other, stop at the first that fails, and clear away what is left.

    Fields of the request, all bytes: commands (a list of argument lists, the program's path first), directory, folder
    (the directory as the stage names it), environment; with an overlay worktree, upper, work. And where there is a
    namespace: hidden, paths of what the stage must not see, fixed, folders that must stay where they are, and locked,
    whether nobody may look behind what is hidden.
    """
    wake = wakeup_descriptor()
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake, select.POLLIN)
    begun = time.monotonic()
    statuses: list[int] = []
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
                    return answer(statuses, begun, in_namespace=in_namespace, wake=wake)
                kill(-pid, signal.SIGTERM)
            if wake in ready:
                os.read(wake, 4096)
                status = dict(ended_children()).get(pid)
        statuses.append(status)
        if status != 0 or not going_on:
            break
    return answer(statuses, begun, in_namespace=in_namespace, wake=wake)


def answer(statuses: list[int], begun: float, *, in_namespace: bool, wake: int) -> dict[str, Any]:
    """Clear away what is left, then say how it went: wait statuses, seconds, and what the kernel counted for the
    whole tree."""
    seconds = time.monotonic() - begun
    cleared = clear(in_namespace=in_namespace, wake=wake)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "statuses": statuses,
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "max_rss_kib": usage.ru_maxrss,
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
            (os.POSIX_SPAWN_OPEN, 0, b"/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGXFSZ],
    )


def clear(*, in_namespace: bool, wake: int) -> bool:
    """Kill and reap everything that the stage left behind; False when something does not die."""
    deadline = time.monotonic() + CLEARING_SECONDS
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    while any_children():
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


def ended_children() -> Iterator[tuple[int, int]]:
    """Reap every child that has ended: process id and wait status."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status


def any_children() -> bool:
    """Whether a child is left, once those that have ended are reaped."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def descendants(root: int, *, spare: set[int]) -> list[int]:
    """Every process below `root`, by a walk of /proc, without the children in `spare` and what is below them."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            children.setdefault(parent_of(int(name)), []).append(int(name))
    found: list[int] = []
    rest = [pid for pid in children.get(root, ()) if pid not in spare]
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
