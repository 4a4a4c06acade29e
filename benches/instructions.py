#!/usr/bin/env python3
"""How many instructions a request costs, by callgrind: a number that a busy machine does not change.

The test process runs twice, for --seconds and three times as long; the difference of its instructions by the
difference of its requests is what one costs, without start and end. The kernel's instructions are not counted. Under
valgrind a request takes some fifty times as long, so what is done once per second weighs more than it really does:
compare these numbers with each other only. The result is appended to instructions.tsv, to be committed.
"""

import argparse
import collections
import pathlib
import re
import sys
import tempfile
import time

import shared

LOG = pathlib.Path(__file__).parent / 'instructions.tsv'
COLUMNS = 'date\tcommit\trustc\tvus\tshape\tinstructions_per_request\n'


def run(executable, url, vus, seconds, post, where):
    """Requests, instructions of the test process, and those of each of its functions."""
    with tempfile.TemporaryDirectory(prefix='loadtest-callgrind-') as directory:
        command = ['valgrind', '--tool=callgrind', '--trace-children=yes']
        command += [f'--callgrind-out-file={directory}/%p.out', executable, '--bench', '--url', url]
        command += ['--vus', str(vus), '--seconds', str(seconds)] + (['--post', str(shared.BODY_BYTES)] if post else [])
        usage = shared.measure(command, where.generator, timeout=20 * seconds + 120)
        number = re.search(r'^requests=(\d+)', usage.output, re.MULTILINE)
        if not number:
            shared.fail(f'the runner told no number of requests:\n{usage.output[-2000:]}')
        # Three processes: the one that plays the subcommand, one that lists the tests, and the one that runs it.
        totals = {}
        for path in pathlib.Path(directory).glob('*.out'):
            if found := re.search(r'^(?:summary|totals): (\d+)', path.read_text(), re.MULTILINE):
                totals[path] = int(found[1])
        largest = max(totals, key=totals.get)
        functions = collections.Counter()
        annotated = shared.output('callgrind_annotate', '--auto=no', '--threshold=100', str(largest))
        for line in annotated.splitlines():
            if found := re.match(r'\s*([\d,]+)\s+\(\s*[\d.]+%\)\s+(.*)', line):
                name = re.sub(r'^.*?:(?!:)', '', found[2].split(' [')[0], count=1)
                if name != 'PROGRAM TOTALS' and 'PROGRAM TOTALS' not in found[2]:
                    functions[name] += int(found[1].replace(',', ''))
        return int(number[1]), totals[largest], functions


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=shared.positive, default=5, help='of the shorter run')
    parser.add_argument('--vus', type=shared.positive, default=64)
    parser.add_argument('--post', action='store_true', help='1 KiB of JSON instead of a GET')
    parser.add_argument('--top', type=int, default=15, help='functions to show')
    parser.add_argument('--markdown', action='store_true')
    parser.add_argument('--dry-run', action='store_true', help='do not append to instructions.tsv')
    arguments = shared.begin(parser)
    shared.need('valgrind', 'callgrind_annotate')
    executable = shared.runner()
    where = shared.cores(1)
    shared.machine('valgrind', 'nginx')
    with shared.Nginx(where.server) as nginx:
        short, long = (
            run(executable, nginx.url(), arguments.vus, seconds, arguments.post, where)
            for seconds in (arguments.seconds, 3 * arguments.seconds)
        )
    requests = long[0] - short[0]
    if requests < 1000:
        shared.fail(f'the longer run made only {requests} requests more. hint: a larger --seconds')
    each = (long[1] - short[1]) / requests
    shape = 'post' if arguments.post else 'get'
    print(f'{each:,.0f} instructions per request ({shape}, {arguments.vus} virtual users)\n')
    parts = {name: (count - short[2][name]) / requests for name, count in long[2].items()}
    rows = [
        [f'`{name}`' if arguments.markdown else name, f'{count:,.0f}', f'{count / each:.1%}']
        for name, count in sorted(parts.items(), key=lambda part: -part[1])[:arguments.top]
    ]
    rows = [[row[0][:120], *row[1:]] for row in rows] if not arguments.markdown else rows
    shared.table(['function, without what it calls', 'instructions/request', 'share'], rows, arguments.markdown)
    if not arguments.dry_run:
        rustc = shared.output('rustc', '--version').split()[1]
        line = [time.strftime('%Y-%m-%d', time.gmtime()), shared.commit(), rustc, arguments.vus, shape, f'{each:.0f}']
        is_new = not LOG.exists()
        with LOG.open('a') as log:
            log.write((COLUMNS if is_new else '') + '\t'.join(map(str, line)) + '\n')
        print(f'appended to {LOG.relative_to(shared.ROOT)}', file=sys.stderr)


if __name__ == '__main__':
    main()
