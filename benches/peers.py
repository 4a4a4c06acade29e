#!/usr/bin/env python3
"""What a request costs load generators, side by side.

nginx runs on one core, each generator in turn on another, for --seconds, with --conns connections or virtual users.
A row has the requests per second, the generator's processor time per request (user and system, all of its processes,
start and end included), the peak resident memory of its largest process, and the ratio of the second to wrk's.
Rounds are interleaved, so that a disturbance hits all; the median is shown, with the least and the most.

Ours is a full iteration as users write it, `cargo bench -p loadtest-runtime --bench requests`: one request, all phases
timed, all built-in metrics recorded and aggregated, one check. A generator that is not installed is left out. goose is
a library: GOOSE_BIN is a program made with it that asks for `/api/x`, for the shape `get` only.
"""

import argparse
import os
import re
import shutil
import statistics
import sys

import shared

OURS = 'loadtest'
SHAPES = {
    'get': 'GET, 26 bytes of JSON back',
    'post': 'POST of 1 KiB of JSON',
    'big': 'GET, 10 KiB back',
}
# Most of wrk's processor time that ours may need.
BARS = {'get': 1.15, 'post': 1.2, 'big': 1.2}
# Most resident memory at 1,000 virtual users, in MiB.
MEMORY_BAR = (1000, 60)


def generators(executable, url, shape, conns, seconds, threads, directory):
    """Per name: the command, what finds the number of requests in its output, what shows that some failed."""
    post = shape == 'post'
    body, lua, script = (os.path.join(directory, name) for name in ('body.json', 'post.lua', 'k6.js'))
    with open(body, 'w') as file:
        file.write(shared.BODY)
    with open(lua, 'w') as file:
        file.write(f"wrk.method = 'POST'\nwrk.body = '{shared.BODY}'\n")
        file.write("wrk.headers['Content-Type'] = 'application/json'\n")
    with open(script, 'w') as file:
        call = f"http.get('{url}')"
        if post:
            call = f"http.post('{url}', '{shared.BODY}', {{ headers: {{ 'Content-Type': 'application/json' }} }})"
        file.write("import http from 'k6/http';\n")
        file.write(f"export const options = {{ vus: {conns}, duration: '{seconds}s' }};\n")
        file.write(f'export default function () {{ {call}; }}\n')
    json = ['-T', 'application/json']
    many = ['-c', str(conns), '-z', f'{seconds}s']
    found = {
        'wrk': (
            ['wrk', f'-t{threads}', f'-c{conns}', f'-d{seconds}s', *(['-s', lua] if post else []), url],
            r'(\d+) requests in',
            r'Non-2xx.*|Socket errors: (?!connect 0, read 0, write 0).*',
        ),
        'oha': (
            ['oha', '--no-tui', *many, *(['-m', 'POST', '-D', body, *json] if post else []), url],
            r'\[200\] (\d+) responses',
            r'\[[345]\d\d\] \d+ responses',
        ),
        'hey': (
            ['hey', *many, *(['-m', 'POST', '-D', body, *json] if post else []), url],
            r'\[200\]\s+(\d+) responses',
            r'\[[345]\d\d\]\s+\d+ responses|Error distribution:[\s\S]*',
        ),
        'k6': (
            ['k6', 'run', '--no-usage-report', '-q', script],
            r'http_reqs\.*: (\d+)',
            r'http_req_failed\.*: (?!0\.00%).*',
        ),
    }
    goose = os.environ.get('GOOSE_BIN')
    if goose and shape == 'get':
        host = url.removesuffix('/api/x')
        options = ['--no-reset-metrics', '--no-telnet', '--no-websocket']
        found['goose'] = (
            [goose, '--host', host, '-u', str(conns), '-r', str(conns), '-t', f'{seconds}s', *options],
            r'Aggregated\s+\|\s+([\d,]+)',
            r'Aggregated\s+\|\s+[\d,]+\s+\|\s+[1-9]\d* \(.*',
        )
    found[OURS] = (
        [executable, '--bench', '--url', url, '--vus', str(conns), '--seconds', str(seconds)]
        + (['--post', str(shared.BODY_BYTES)] if post else []),
        r'^requests=(\d+)',
        r'^error: .*',
    )
    return found


def compare(arguments, executable, shape, conns, where):
    """One table; the rows by name, each with its rounds: (requests per second, µs per request, bytes)."""
    path = '/api/big' if shape == 'big' else '/api/x'
    with shared.Nginx(where.server, where.each) as nginx:
        found = generators(
            executable, nginx.url(path), shape, conns, arguments.seconds, where.each, nginx.directory.name
        )
        found = {
            name: row
            for name, row in found.items()
            if (not arguments.only or name in arguments.only) and shutil.which(row[0][0])
        }
        rounds = {name: [] for name in found}
        for _ in range(arguments.rounds):
            for name, (command, counted, failed) in found.items():
                usage = shared.measure(command, where.generator, timeout=3 * arguments.seconds + 60)
                count = re.search(counted, usage.output, re.MULTILINE)
                number = int(count[1].replace(',', '')) if count else 0
                if not number:
                    shared.fail(f'{name} told no number of requests:\n{usage.output[-2000:]}')
                if bad := re.search(failed, usage.output, re.MULTILINE):
                    print(f'{name}, {shape}, {conns}: {bad[0].strip()}', file=sys.stderr)
                rounds[name].append((number / arguments.seconds, usage.cpu_seconds * 1e6 / number, usage.peak))
    return rounds


def report(rounds, shape, conns, where, markdown):
    """Prints the table and returns what is above its bar."""
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in rounds.items()}
    base = medians.get('wrk', [0, 0, 0])[1]
    lines = []
    for name, (rate, cost, peak) in medians.items():
        costs = [row[1] for row in rounds[name]]
        lines.append([
            f'**{name}**' if markdown and name == OURS else name,
            f'{rate:,.0f}',
            f'{cost:.2f}',
            f'{min(costs):.2f} to {max(costs):.2f}',
            f'{cost / base:.2f}' if base else '-',
            f'{peak / shared.MIB:,.0f}',
        ])
    side = 'a core each' if where.each == 1 else f'{where.each} cores'
    head = ['CPU µs/request', 'range', '× wrk', 'MiB']
    shared.table([f'{SHAPES[shape]}; {conns:,} connections; {side}', 'requests/s', *head], lines, markdown)
    missed = []
    if OURS in medians:
        _, cost, peak = medians[OURS]
        if base and cost > BARS[shape] * base:
            missed.append(f'{shape}, {conns}: {cost / base:.2f} × wrk, allowed are {BARS[shape]}')
        if conns == MEMORY_BAR[0] and peak > MEMORY_BAR[1] * shared.MIB:
            missed.append(f'{shape}, {conns}: {peak / shared.MIB:.0f} MiB, allowed are {MEMORY_BAR[1]}')
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=shared.positive, default=3)
    parser.add_argument('--seconds', type=shared.positive, default=4, help='of each generator in each round')
    parser.add_argument('--conns', type=shared.positive, nargs='+', default=[64, 1000])
    parser.add_argument('--shape', choices=SHAPES, nargs='+', default=['get'])
    parser.add_argument('--cores', type=int, choices=[1, 2], default=1, help='of each side; shared if there are but 2')
    parser.add_argument('--only', type=lambda text: text.split(','), help=f'wrk,oha,hey,k6,goose,{OURS}')
    parser.add_argument('--markdown', action='store_true')
    parser.add_argument('--check', action='store_true', help='exit code 1 if ours is above its bars')
    arguments = shared.begin(parser)
    unknown = set(arguments.only or []) - {'wrk', 'oha', 'hey', 'k6', 'goose', OURS}
    if unknown:
        parser.error(f'--only: no generator is called {", ".join(sorted(unknown))}')
    if arguments.check:
        shared.need('wrk')
        if arguments.only and not {'wrk', OURS} <= set(arguments.only):
            parser.error(f'--check compares {OURS} with wrk')
    executable = shared.runner()
    shared.raise_open_files(2 * max(arguments.conns) + 1000)
    where = shared.cores(arguments.cores)
    shared.machine('nginx', 'wrk', 'oha', 'hey', 'k6')
    missed = []
    for shape in arguments.shape:
        for conns in arguments.conns:
            rounds = compare(arguments, executable, shape, conns, where)
            missed += report(rounds, shape, conns, where, arguments.markdown)
    if arguments.check:
        for line in missed:
            print(f'above the bar: {line}')
        raise SystemExit(1 if missed else 0)


if __name__ == '__main__':
    main()
