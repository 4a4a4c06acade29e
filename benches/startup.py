#!/usr/bin/env python3
"""How long it takes from the start of the test process to its first request.

This script plays the subcommand: it starts the test process (the runner of peers.py), speaks its wire as `cargo
loadtest` does, and is the server that is asked. The clock begins before the process is made and ends when the first
bytes of a request are there; then the process is ended. The median of --rounds must be below 50 ms.

With --whole, for information: the same for all of `cargo loadtest`, on a small crate that is built already, so that
cargo's look at it, the search for load tests and the subcommand's own start are in it.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import time

import shared

BAR = 0.05
TIMEOUT = 30
TOKEN = 'startup'
TEST = 'get'
RESPONSE = b'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'
CRATE = '''//! A crate with a load test.

#[cfg(test)]
mod tests {
    use loadtest_runtime::prelude::*;

    #[load_test(vus = 1, duration = "1s")]
    async fn get(vu: &mut Vu) -> Result<()> {
        let url = vu.env("URL").unwrap_or_default().to_owned();
        let response = vu.http().get(url).send().await?;
        vu.check("ok", response.status() == 200);
        Ok(())
    }
}
'''


def listen():
    listener = socket.create_server(('127.0.0.1', 0))
    listener.settimeout(TIMEOUT)
    return listener


def address(listener):
    return '127.0.0.1:{}'.format(listener.getsockname()[1])


def accept(listener):
    stream, _ = listener.accept()
    stream.settimeout(TIMEOUT)
    return stream


def first_request(server):
    """When the first bytes of a request came. The answer is what lets the process end in order."""
    with accept(server) as stream:
        if not stream.recv(65536):
            shared.fail('the generator connected and said nothing')
        now = time.perf_counter()
        with contextlib.suppress(OSError):
            stream.sendall(RESPONSE)
    return now


class Wire:
    """A test process on its wire: frames of JSON behind their length, both ways."""

    def __init__(self, executable):
        listener = listen()
        environment = {**os.environ, 'CARGO_LOADTEST_ADDR': address(listener), 'CARGO_LOADTEST_TOKEN': TOKEN}
        self.begun = time.perf_counter()
        self.process = subprocess.Popen(
            [executable], env=environment, start_new_session=True, stdout=subprocess.DEVNULL
        )
        self.stream = None
        try:
            with listener:
                self.stream = accept(listener)
            self.versions = self.wait('hello')['versions']
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.stream:
            self.stream.close()
        shared.kill(self.process)

    def send(self, **frame):
        data = json.dumps(frame).encode()
        self.stream.sendall(struct.pack('<I', len(data)) + data)

    def exactly(self, length):
        data = b''
        while len(data) < length:
            part = self.stream.recv(length - len(data))
            if not part:
                shared.fail('the test process ended too early')
            data += part
        return data

    def wait(self, kind):
        """The next frame of this kind; others are passed over."""
        while True:
            frame = json.loads(self.exactly(struct.unpack('<I', self.exactly(4))[0]))
            if frame['type'] == kind:
                return frame
            if frame['type'] == 'results':
                shared.fail(f'the test ended before its load: {frame.get("errors")}')

    def request(self, mode, test, options):
        self.send(
            type='request',
            version=max(self.versions),
            mode=mode,
            test=test,
            options=options,
            seed=1,
            shard='0/1',
            binaries={},
            log_dir=tempfile.gettempdir(),
            log_limit=0,
        )


def process_alone(executable, rounds):
    """Seconds from the start to hello, to ready and to the first request, per round."""
    with Wire(executable) as wire:
        wire.request('list', '', {})
        definitions = wire.wait('definitions')['definitions']
    definition = next(found for found in definitions if found['test'].split('::')[-1] == TEST)
    found = []
    for _ in range(rounds):
        with listen() as server:
            environment = {**definition['options'].get('env', {}), 'URL': f'http://{address(server)}/'}
            options = {**definition['options'], 'vus': 1, 'env': environment}
            with Wire(executable) as wire:
                hello = time.perf_counter()
                wire.request('run', definition['test'], {definition['scenario']: options})
                wire.wait('ready')
                ready = time.perf_counter()
                wire.send(type='go')
                first = first_request(server)
            found.append([moment - wire.begun for moment in (hello, ready, first)])
    return found


def whole(rounds):
    """Seconds from the start of the subcommand to the first request, per round, with everything built."""
    command = ['cargo', 'build', '--release', '--package', 'cargo-loadtest', '--message-format=json-render-diagnostics']
    built = subprocess.run(command, cwd=shared.ROOT, stdout=subprocess.PIPE, text=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    subcommand = next((message['executable'] for message in messages if message.get('executable')), None)
    if built.returncode or not subcommand:
        shared.fail(f'`{" ".join(command)}` failed')
    target = os.environ.get('CARGO_TARGET_DIR', str(shared.ROOT / 'target' / 'benches'))
    found = []
    with tempfile.TemporaryDirectory(prefix='loadtest-startup-') as directory:
        crate = pathlib.Path(directory)
        (crate / 'src').mkdir()
        (crate / 'src' / 'lib.rs').write_text(CRATE)
        (crate / 'Cargo.toml').write_text(
            '[package]\nname = "startup"\nversion = "0.0.0"\nedition = "2024"\npublish = false\n\n'
            f'[dev-dependencies]\nloadtest-runtime = {{ path = "{shared.ROOT}/loadtest-runtime" }}\n\n[workspace]\n'
        )
        shutil.copy(shared.ROOT / 'Cargo.lock', crate)
        # The first one builds.
        for round in range(rounds + 1):
            with listen() as server:
                server.settimeout(900 if round == 0 else TIMEOUT)
                log = crate / 'log'
                begun = time.perf_counter()
                process = subprocess.Popen(
                    [subcommand, 'loadtest', '-e', f'URL=http://{address(server)}/'],
                    cwd=crate,
                    env={**os.environ, 'CARGO_TARGET_DIR': target},
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                    stdout=log.open('w'),
                    stderr=subprocess.STDOUT,
                )
                try:
                    first = first_request(server)
                except TimeoutError:
                    shared.fail(f'no request came:\n{log.read_text()[-2000:]}')
                finally:
                    shared.kill(process)
            if round:
                found.append(first - begun)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=shared.positive, default=20)
    parser.add_argument('--whole', action='store_true', help='also all of `cargo loadtest`, five rounds')
    parser.add_argument('--markdown', action='store_true')
    parser.add_argument('--check', action='store_true', help='exit code 1 if the median is above 50 ms')
    arguments = shared.begin(parser)
    executable = shared.runner()
    shared.machine()
    columns = list(zip(*process_alone(executable, arguments.rounds)))
    names = ['the test process says hello', 'it is ready for the load', '**its first request**']
    rows = [[name if arguments.markdown else name.strip('*'), times] for name, times in zip(names, columns)]
    if arguments.whole:
        rows.append(['first request of a warm `cargo loadtest`', whole(5)])
    cells = [
        [name, len(times), *(f'{value * 1e3:.1f}' for value in (statistics.median(times), min(times), max(times)))]
        for name, times in rows
    ]
    shared.table(['ms after the start', 'rounds', 'median', 'least', 'most'], cells, arguments.markdown)
    if arguments.check:
        median = statistics.median(columns[-1])
        if median > BAR:
            print(f'above the bar: {median * 1e3:.1f} ms, allowed are {BAR * 1e3:.0f}')
        raise SystemExit(1 if median > BAR else 0)


if __name__ == '__main__':
    main()
