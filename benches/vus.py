#!/usr/bin/env python3
"""How the cost of a request grows with the number of virtual users: ours alone, from 1 to 10,000 of them.

The same runner, server and cores as peers.py. Each virtual user has a connection of its own, so the numbers of many
have the connecting in them. The memory is the peak of the test process; what a virtual user needs is told beyond the
first thousand: what the process has at N less what it has at 1,000, by N - 1,000.
"""

import argparse
import re
import statistics
import sys

import shared

BASE = 1000
# Most resident memory at 1,000 virtual users in MiB, and most per virtual user beyond them, at 10,000, in KiB.
BASE_BAR = 60
EACH_BAR = 16
EACH_AT = 10000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=shared.positive, default=3)
    parser.add_argument('--seconds', type=shared.positive, default=5, help='of each number in each round')
    counts = [1, 10, 64, 100, 1000, 5000, 10000]
    parser.add_argument('--vus', type=shared.positive, nargs='+', default=counts)
    parser.add_argument('--cores', type=int, choices=[1, 2], default=1, help='of each side; shared if there are but 2')
    parser.add_argument('--markdown', action='store_true')
    parser.add_argument('--check', action='store_true', help='exit code 1 above the bars for memory')
    arguments = shared.begin(parser)
    if arguments.check and not {BASE, EACH_AT} <= set(arguments.vus):
        parser.error(f'--check needs --vus {BASE} {EACH_AT}')
    executable = shared.runner()
    shared.raise_open_files(max(arguments.vus) + 1000)
    where = shared.cores(arguments.cores)
    shared.machine('nginx')
    rounds = {vus: [] for vus in arguments.vus}
    with shared.Nginx(where.server, where.each) as nginx:
        for _ in range(arguments.rounds):
            for vus in arguments.vus:
                command = [executable, '--bench', '--url', nginx.url()]
                command += ['--vus', str(vus), '--seconds', str(arguments.seconds)]
                usage = shared.measure(command, where.generator, timeout=3 * arguments.seconds + 60)
                for bad in re.findall(r'^(?:error|warning): .*', usage.output, re.MULTILINE):
                    print(f'{vus}: {bad}', file=sys.stderr)
                number = int(re.search(r'^requests=(\d+)', usage.output, re.MULTILINE)[1])
                if not number:
                    shared.fail(f'no request was made:\n{usage.output}')
                rounds[vus].append((number / arguments.seconds, usage.cpu_seconds * 1e6 / number, usage.peak))
    medians = {vus: [statistics.median(column) for column in zip(*rows)] for vus, rows in rounds.items()}
    each = {}
    if BASE in medians:
        each = {vus: (medians[vus][2] - medians[BASE][2]) / (vus - BASE) / 1024 for vus in medians if vus > BASE}
    rows = [
        [
            f'{vus:,}',
            f'{rate:,.0f}',
            f'{cost:.2f}',
            f'{min(row[1] for row in rounds[vus]):.2f} to {max(row[1] for row in rounds[vus]):.2f}',
            f'{peak / shared.MIB:.1f}',
            f'{each[vus]:.1f}' if vus in each else '',
        ]
        for vus, (rate, cost, peak) in medians.items()
    ]
    head = ['virtual users', 'requests/s', 'CPU µs/request', 'range', 'MiB', f'KiB per VU beyond {BASE:,}']
    shared.table(head, rows, arguments.markdown)
    if arguments.check:
        missed = []
        if medians[BASE][2] > BASE_BAR * shared.MIB:
            missed.append(f'{medians[BASE][2] / shared.MIB:.0f} MiB at {BASE}, allowed are {BASE_BAR}')
        if each[EACH_AT] > EACH_BAR:
            missed.append(f'{each[EACH_AT]:.1f} KiB per virtual user at {EACH_AT}, allowed are {EACH_BAR}')
        for line in missed:
            print(f'above the bar: {line}')
        raise SystemExit(1 if missed else 0)


if __name__ == '__main__':
    main()
