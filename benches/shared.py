"""What the scripts here share: building our runner, nginx to ask, a measured child process, tables.

The main functions are `runner`, `Nginx` and `measure`. Nothing here decides what is measured or what is good.
Linux only: pinning, peak memory and processor time come from its tools and from /proc.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
MIB = 1024 * 1024
# The bodies of all generators: JSON of 1 KiB, as `requests --post 1024` sends it.
BODY_BYTES = 1024
BODY = '{"x":"' + 'a' * (BODY_BYTES - len('{"x":""}')) + '"}'


def fail(text):
    """Ends the script as a mistake of its user, without a stack trace."""
    print(f'{pathlib.Path(sys.argv[0]).name}: {text}', file=sys.stderr)
    raise SystemExit(2)


def begin(parser):
    """Reads the arguments; from here on a SIGTERM unwinds, so that no child process outlives the script."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f'the machine is busy (load average {load:.1f}): the numbers will be too high', file=sys.stderr)
    return arguments


def positive(text):
    """An argument that is a whole number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def need(*tools):
    """Ends the script unless all of these programs are there."""
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        fail(f'{", ".join(missing)} not found. hint: install it, or leave it out with --only')


def output(*command, **options):
    """What a program prints, on both streams; empty if it cannot be run."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    except OSError:
        return ''
    return done.stdout.strip()


def runner(bench='requests'):
    """Builds a benchmark of loadtest-runtime and returns its executable. `CARGO_TARGET_DIR` is respected."""
    command = ['cargo', 'bench', '--package', 'loadtest-runtime', '--bench', bench, '--no-run']
    built = subprocess.run(
        command + ['--message-format=json-render-diagnostics'], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    if built.returncode:
        fail(f'`{" ".join(command)}` failed')
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get('executable') and message['target']['name'] == bench:
            return message['executable']
    fail(f'cargo did not say where the benchmark `{bench}` is')


def subcommand():
    """The path of `cargo-loadtest`, after building it. It judges and tells, and is not what is measured."""
    command = ['cargo', 'build', '--quiet', '--package', 'cargo-loadtest', '--message-format=json']
    messages = [json.loads(line) for line in output(*command, cwd=ROOT).splitlines() if line.startswith('{')]
    return next(message['executable'] for message in messages if message.get('executable'))


def raise_open_files(needed):
    """Lets this process and its children open so many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    for limits in ((needed, max(needed, hard)), (min(needed, hard), hard)):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            break
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < needed:
        fail(f'{needed} open files are needed, {hard} are allowed. hint: ulimit -Hn, as root')


@dataclasses.dataclass
class Cores:
    """Which cores the server and the generator get."""

    server: str
    generator: str
    each: int


def cores(number):
    """`number` cores for each side: disjoint ones, or the same if the machine has no more."""
    have = sorted(os.sched_getaffinity(0))
    if len(have) < max(number, 2):
        fail(f'{max(number, 2)} cores are needed, this process may use {len(have)}')
    server = have[:number]
    generator = have[number:2 * number] if len(have) >= 2 * number else server
    os.sched_setaffinity(0, server)
    return Cores(','.join(map(str, server)), ','.join(map(str, generator)), number)


class Nginx:
    """nginx on a loopback port, with a connection kept for ever; use it in a `with`.

    `/api/x` answers 26 bytes of JSON (to a POST too, whose body it reads and throws away), `/api/big` 10 KiB.
    """

    def __init__(self, cpus, workers=1):
        need('nginx', 'taskset')
        self.directory = tempfile.TemporaryDirectory(prefix='loadtest-bench-')
        self.cpus = cpus
        self.workers = workers

    def __enter__(self):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            self.port = probe.getsockname()[1]
        here = self.directory.name
        temporary = '\n'.join(
            f'{kind}_temp_path {here}/{kind};' for kind in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')
        )
        # A parameter of nginx's configuration is limited to 4 KiB, a text made of variables is not.
        config = f'''
            worker_processes {self.workers}; pid {here}/pid; error_log {here}/error.log; daemon off;
            events {{ worker_connections 16000; }}
            http {{
                access_log off; {temporary}
                keepalive_requests 1000000000; keepalive_timeout 3600s; client_body_buffer_size 16k;
                default_type application/json;
                server {{
                    listen 127.0.0.1:{self.port} backlog=16384;
                    location / {{ return 200 '{{"ok":true,"x":1234567890}}'; }}
                    location = /api/big {{
                        set $kib '{'a' * 1024}';
                        return 200 "{'$kib' * 10}";
                    }}
                }}
            }}'''
        pathlib.Path(here, 'nginx.conf').write_text(config)
        command = ['taskset', '-c', self.cpus, 'nginx', '-c', f'{here}/nginx.conf', '-p', here]
        # Complaints before the log is open are not wanted on a terminal; those that matter end it.
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + 10
        try:
            while True:
                with contextlib.suppress(OSError), socket.create_connection(('127.0.0.1', self.port), 1):
                    return self
                if self.process.poll() is not None or time.monotonic() > end:
                    log = pathlib.Path(here, 'error.log')
                    fail(f'nginx does not start: {log.read_text().strip() if log.exists() else ""}')
                time.sleep(0.02)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        kill(self.process)
        self.directory.cleanup()

    def url(self, path='/api/x'):
        return f'http://127.0.0.1:{self.port}{path}'


def kill(process):
    """Ends a process that was started with its own session, and all of its descendants in it."""
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, wanted)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)


def children(pid):
    """This process and its descendants."""
    found = [pid]
    for parent in found:
        for task in pathlib.Path(f'/proc/{parent}/task').glob('*/children'):
            with contextlib.suppress(OSError):
                found.extend(map(int, task.read_text().split()))
    return found


def memory(pid, field):
    """`VmRSS` (now) or `VmHWM` (peak since its program was loaded) of a process, in bytes; 0 if it is gone."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) * 1024
    return 0


@dataclasses.dataclass
class Usage:
    """What a command and its descendants needed."""

    output: str
    seconds: float
    cpu_seconds: float
    # Of the process that has most, in bytes.
    peak: int


def measure(command, cpus=None, timeout=120, each=None, every=0.25, **options):
    """Runs a command to its end. `each(process_ids)` is called `every` so many seconds; fails if it fails."""
    if cpus:
        command = ['taskset', '-c', cpus, *command]
    # A child starts with the memory of this script, and its peak (ru_maxrss) counts that.
    floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak = 0
    with tempfile.TemporaryFile('w+') as out:
        begun = time.monotonic()
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True, **options
        )
        try:
            due = begun + every
            while True:
                pid, status, usage = os.wait4(process.pid, os.WNOHANG)
                if pid:
                    break
                now = time.monotonic()
                if now - begun > timeout:
                    fail(f'`{" ".join(command)}` is not done after {timeout} s')
                if now >= due:
                    due += every
                    alive = children(process.pid)
                    peak = max([peak, *(memory(pid, 'VmHWM') for pid in alive)])
                    if each:
                        each(alive)
                time.sleep(0.02)
            seconds = time.monotonic() - begun
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if process.returncode is None:
                kill(process)
        out.seek(0)
        text = out.read()
    if process.returncode:
        fail(f'`{" ".join(command)}` ended with {process.returncode}:\n{text[-2000:]}')
    reached = usage.ru_maxrss * 1024
    peak = max(peak, reached if reached > floor + MIB else 0)
    return Usage(text, seconds, usage.ru_utime + usage.ru_stime, peak)


def table(head, rows, markdown):
    """Prints a table: the first column is text, the others are numbers or text."""
    rows = [[str(cell) for cell in row] for row in rows]
    if markdown:
        print('| ' + ' | '.join(head) + ' |')
        print('|---' * len(head) + '|')
        for row in rows:
            print('| ' + ' | '.join(row) + ' |')
    else:
        widths = [max(len(line[at]) for line in [head, *rows]) for at in range(len(head))]
        for row in [head, *rows]:
            cells = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))
            print('  '.join([row[0].ljust(widths[0]), *cells]))
    print(flush=True)


def commit():
    """The commit of the checkout, with `+` if there are changes on top of it."""
    sha = output('git', '-C', str(ROOT), 'rev-parse', '--short', 'HEAD') or 'unknown'
    changed = output('git', '-C', str(ROOT), 'status', '--porcelain', '--untracked-files=no')
    return sha + ('+' if changed else '')


def machine(*tools):
    """Prints where and with what this is measured."""
    info = pathlib.Path('/proc/cpuinfo').read_text().splitlines()
    model = next((line.split(':')[1].strip() for line in info if line.startswith('model name')), platform.machine())
    versions = [version(tool) for tool in tools if shutil.which(tool)]
    parts = [
        f'{os.cpu_count()} cores of {model}, {os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB} MiB',
        f'Linux {platform.release()}',
        output('rustc', '--version').rsplit(' (')[0],
        *versions,
        f'commit {commit()}',
        time.strftime('%Y-%m-%d', time.gmtime()),
    ]
    print('; '.join(part for part in parts if part))
    print(f'load average at the start {os.getloadavg()[0]:.2f}')
    print('command: python3 ' + ' '.join(['benches/' + pathlib.Path(sys.argv[0]).name, *sys.argv[1:]]))
    print(flush=True)


def version(tool):
    """The name and version of a program, however it tells them."""
    match tool:
        case 'wrk':
            return ' '.join(output('wrk', '-v').split()[:2])
        case 'nginx':
            return output('nginx', '-v').removeprefix('nginx version: ')
        case 'k6':
            return ' '.join(output('k6', 'version').split()[:2])
        case 'hey':
            # It does not tell it itself.
            return 'hey ' + (output('dpkg-query', '-W', '-f', '${Version}', 'hey') or 'of unknown version')
        case 'goose':
            return 'goose'
        case _:
            return output(tool, '--version').splitlines()[0]
