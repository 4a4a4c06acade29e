#!/usr/bin/env python3
"""Whether memory stays flat: ours at full load for --minutes, its resident memory read each five seconds.

The slope is the median of the slopes between all pairs of readings after the warm-up (Theil and Sen), which a few
steps do not move. Memory is flat if it grows by less than 0.25 MiB per minute: histograms grow by up to 0.2 MiB when
a value comes that is larger than all before, once per series and by steps, while a leak of a single byte per ten
requests shows as 0.5 MiB per minute at 100,000 requests per second. And flat means flat in sum: after the warm-up the
largest reading is at most 10 % or 2 MiB above the first ones.
"""

import argparse
import itertools
import re
import statistics
import sys
import time

import shared

EVERY = 5
SLOPE_BAR = 0.25
GROWTH_BAR = (1.1, 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=10)
    parser.add_argument('--vus', type=shared.positive, default=64)
    parser.add_argument('--warm-up', type=float, default=60, help='seconds that are left out; at most a third of all')
    parser.add_argument('--cores', type=int, choices=[1, 2], default=1, help='of each side; shared if there are but 2')
    parser.add_argument('--markdown', action='store_true')
    arguments = shared.begin(parser)
    seconds = round(arguments.minutes * 60)
    warm_up = min(arguments.warm_up, seconds / 3)
    if seconds < 60:
        parser.error('--minutes must be at least 1')
    executable = shared.runner()
    shared.raise_open_files(2 * arguments.vus + 1000)
    where = shared.cores(arguments.cores)
    shared.machine('nginx')
    readings = []
    begun = time.monotonic()

    def read(alive):
        # The test process is the largest one; the other only counts what it is told.
        resident = max(shared.memory(pid, 'VmRSS') for pid in alive)
        readings.append((time.monotonic() - begun, resident / shared.MIB))
        if sys.stderr.isatty():
            print(f'{readings[-1][0]:6.0f} s  {readings[-1][1]:8.2f} MiB', file=sys.stderr)

    with shared.Nginx(where.server, where.each) as nginx:
        command = [executable, '--bench', '--url', nginx.url(), '--vus', str(arguments.vus), '--seconds', str(seconds)]
        usage = shared.measure(command, where.generator, timeout=seconds + 120, each=read, every=EVERY)
    for bad in re.findall(r'^(?:error|warning): .*', usage.output, re.MULTILINE):
        print(bad)
    number = int(re.search(r'^requests=(\d+)', usage.output, re.MULTILINE)[1])
    # What is read while the process ends is not the load's.
    late = [reading for reading in readings if warm_up <= reading[0] <= seconds - 1]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) * 60 for a, b in itertools.combinations(late, 2)]
    slope = statistics.median(slopes)
    first = statistics.median(value for _, value in late[:3])
    most = max(value for _, value in late)
    is_flat = slope < SLOPE_BAR and most <= max(first * GROWTH_BAR[0], first + GROWTH_BAR[1])
    head = ['', 'requests', 'CPU µs/request', 'MiB after warm-up', 'at the end', 'most', 'MiB per minute', 'memory is']
    row = [
        f'{arguments.vus:,} virtual users, {seconds / 60:g} minutes',
        f'{number:,}',
        f'{usage.cpu_seconds * 1e6 / max(number, 1):.2f}',
        f'{first:.2f}',
        f'{late[-1][1]:.2f}',
        f'{most:.2f}',
        f'{slope:+.3f}',
        'flat' if is_flat else 'NOT FLAT',
    ]
    shared.table(head, [row], arguments.markdown)
    raise SystemExit(0 if is_flat else 1)


if __name__ == '__main__':
    main()
