#!/usr/bin/env python3
"""What the dev-dependency costs its users: a clean `cargo test --no-run` of small crates with and without it.

Each crate is made in a temporary directory with a target directory of its own, takes the versions of this workspace's
Cargo.lock, and is built without the network; downloads are made before and not counted. Seconds are those on the
clock and those of the processors; crates are those that cargo compiled, procedural macros and what build scripts need
included, the crate itself excluded. With --peers, for comparison, other dev-dependencies (from crates.io).
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import tempfile

import shared

RUNTIME = f'loadtest-runtime = {{ path = "{shared.ROOT}/loadtest-runtime"%s }}'
SERVICE = '''axum = "0.8"
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["full"] }'''
LOAD_TEST = '''
#[cfg(test)]
mod tests {
    use loadtest_runtime::prelude::*;

    #[load_test(vus = 1, duration = "1s")]
    async fn get(vu: &mut Vu) -> Result<()> {
        vu.http().get("http://127.0.0.1:8080/").send().await?;
        Ok(())
    }
}
'''
# Name: dependencies, dev-dependencies, whether it has a load test.
CRATES = {
    'an empty crate': ('', '', False),
    'the same with loadtest-runtime': ('', RUNTIME % '', True),
    'without its default features': ('', RUNTIME % ', default-features = false', True),
    'with all of its protocols': ('', RUNTIME % ', features = ["http2", "websocket", "tower", "reqwest"]', True),
    'a crate with axum, serde and tokio': (SERVICE, '', False),
    'the same with loadtest-runtime and a load test': (SERVICE, RUNTIME % '', True),
}
PEERS = {
    'reqwest': 'reqwest = "0.13"',
    'criterion': 'criterion = "0.7"',
    'goose': 'goose = "0.19"',
}


def make(directory, dependencies, dev, is_tested):
    """Writes the crate and fetches what it needs."""
    (directory / 'src').mkdir()
    (directory / 'src' / 'lib.rs').write_text('//! A crate.\n' + (LOAD_TEST if is_tested else ''))
    (directory / 'Cargo.toml').write_text(
        '[package]\nname = "measured"\nversion = "0.0.0"\nedition = "2024"\npublish = false\n\n'
        f'[dependencies]\n{dependencies}\n\n[dev-dependencies]\n{dev}\n\n[workspace]\n'
    )
    shutil.copy(shared.ROOT / 'Cargo.lock', directory)
    shared.measure(['cargo', 'fetch'], cwd=directory, timeout=600)


def build(directory):
    """Builds from nothing: seconds, processor seconds, crates."""
    target = directory / 'target'
    shutil.rmtree(target, ignore_errors=True)
    usage = shared.measure(
        ['cargo', 'test', '--no-run', '--offline', '--message-format=json-render-diagnostics'],
        cwd=directory,
        timeout=1800,
        env={**os.environ, 'CARGO_TARGET_DIR': str(target), 'CARGO_INCREMENTAL': '1'},
    )
    crates = set()
    for line in usage.output.splitlines():
        # What cargo says to people is among them.
        if line.startswith('{'):
            message = json.loads(line)
            if message['reason'] == 'compiler-artifact' and message['target']['name'] != 'measured':
                crates.add(message['package_id'])
    return usage.seconds, usage.cpu_seconds, len(crates)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=shared.positive, default=1)
    parser.add_argument('--only', type=shared.positive, nargs='+', help=f'which rows, from 1 to {len(CRATES)}')
    parser.add_argument('--peers', choices=PEERS, nargs='+', default=[], help='other dev-dependencies')
    parser.add_argument('--markdown', action='store_true')
    arguments = shared.begin(parser)
    shared.machine('cargo')
    chosen = [row for at, row in enumerate(CRATES.items(), 1) if at in (arguments.only or range(1, len(CRATES) + 1))]
    chosen += [(f'an empty crate with {peer}', ('', PEERS[peer], False)) for peer in arguments.peers]
    rows = []
    for name, (dependencies, dev, is_tested) in chosen:
        with tempfile.TemporaryDirectory(prefix='loadtest-compile-') as directory:
            directory = pathlib.Path(directory)
            make(directory, dependencies, dev, is_tested)
            rounds = [build(directory) for _ in range(arguments.rounds)]
        seconds, cpu, crates = (statistics.median(column) for column in zip(*rounds))
        rows.append([name, f'{crates:.0f}', f'{seconds:.1f}', f'{cpu:.1f}'])
    head = ['`cargo test --no-run`, nothing built before', 'crates', 'seconds', 'CPU seconds']
    shared.table(head, rows, arguments.markdown)


if __name__ == '__main__':
    main()
