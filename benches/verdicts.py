#!/usr/bin/env python3
"""Whether verdicts can be trusted: real duets of the example, with equal code, with p95 + 10 %, and with fast failures.

Each duet is `cargo loadtest --baseline main` in a clone of this repository, in which a branch has one commit: a comment
(equal code), the example slowed down (`--slow-by`, so that p95 moves by 10 %, which is checked), or one that fails 20 % of its requests at once. Nothing else runs
meanwhile, so use a quiet machine. Equal code is also judged under every assignment of labels to its pairs
(`cargo-loadtest/examples/label_swaps.rs`); these share their runs, so they are correlated.
"""

import argparse
import json
import math
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import shared

ROOT = pathlib.Path(__file__).resolve().parent.parent
CLI = ROOT / 'examples/concert/src/main.rs'
SLOW = ('env = "CONCERT_SLOW_BY", value_name = "PERCENT", default_value_t = Percent::ZERO',
        'env = "CONCERT_SLOW_BY", value_name = "PERCENT", default_value = "{}"')
FAIL = ('env = "CONCERT_FAIL_RATE", value_name = "PERCENT", default_value_t = Percent::ZERO',
        'env = "CONCERT_FAIL_RATE", value_name = "PERCENT", default_value = "{}"')


class Clone:
    """A clone with branches that differ from main by one commit."""

    def __init__(self, directory, slow_by):
        # Always at the same place, so that what was built of the base is still there the next time.
        self.path = directory / 'repository'
        shutil.rmtree(self.path, ignore_errors=True)
        self.git('clone', '--quiet', '--no-local', str(ROOT), str(self.path), cwd=ROOT)
        self.git('checkout', '--quiet', '-B', 'main')
        self.branch('equal', '//! The binary', '//! The  binary')
        self.branch('slow', SLOW[0], SLOW[1].format(slow_by))
        self.branch('failing', FAIL[0], FAIL[1].format('20%'))

    def git(self, *arguments, cwd=None):
        identity = ['-c', 'user.name=n', '-c', 'user.email=n@example.org', '-c', 'commit.gpgsign=false']
        subprocess.run(['git', *identity, *arguments], cwd=cwd or self.path, check=True)

    def branch(self, name, old, new):
        self.git('checkout', '--quiet', '-B', name, 'main')
        path = self.path / CLI.relative_to(ROOT)
        text = path.read_text()
        if old not in text:
            sys.exit(f'{path} has no `{old}`')
        path.write_text(text.replace(old, new, 1))
        self.git('commit', '--quiet', '--all', '--message', name)
        self.git('checkout', '--quiet', 'main')


def duet(clone, branch, arguments, executable, number):
    """One duet of a branch against main: its document."""
    clone.git('checkout', '--quiet', branch)
    command = [
        executable, 'loadtest', '-p', 'concert', '--exact', f'load::{arguments.test}', '--baseline', 'main', '--duet',
        '--compare-duration', arguments.duration, '--runs', str(arguments.pairs), '--seed', str(1000 + number),
        '--vus', str(arguments.vus), '--no-report', '--quiet', '--format', 'json',
    ]
    environment = {**os.environ, 'CI': '', 'GITHUB_ACTIONS': '', 'LOADTEST_STORE': str(arguments.store)}
    environment['CARGO_TARGET_DIR'] = str(arguments.directory / 'target')
    environment['LOADTEST_CACHE'] = str(arguments.directory / 'cache')
    if arguments.pin:
        command.append('--pin')
    done = subprocess.run(command, cwd=clone.path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        document = json.loads(done.stdout)
    except json.JSONDecodeError:
        sys.exit(f'exit code {done.returncode}\n{done.stdout}\n{done.stderr}')
    return done.returncode, document['comparison']


def tell(branch, number, code, comparison, begun):
    test = comparison['tests'][0]
    metrics = {metric['name']: metric for metric in test['metrics']}
    p95 = metrics.get('p95', {})
    pairs = list(zip(p95.get('base_runs', []), p95.get('head_runs', [])))
    logs = [math.log(head / base) for base, head in pairs if base and head]
    spread = statistics.stdev(logs) / math.sqrt(2) if len(logs) > 1 else float('nan')
    change = p95.get('change') or float('nan')
    improved = [name for name, metric in metrics.items() if metric['verdict'] == 'improved']
    print(
        f'{branch:8} {number:3}  exit {code:3}  {test["verdict"]:14}  p95 x {change:.3f}  s {spread * 100:4.1f} %'
        f'  {len(logs)} pairs  improved: {", ".join(improved) or "-"}  [{time.monotonic() - begun:.0f} s]',
        flush=True,
    )
    for reason in test['reasons']:
        print(f'              {reason}')
    return {'branch': branch, 'verdict': test['verdict'], 'change': change, 'spread': spread,
            'improved': improved, 'pairs': len(logs)}


def pairs_for(spread, change, gates=3, alpha=0.05, power=0.95):
    """Pairs that find a change with this power: the smallest even k with (z + z)·s√2/√k at most its logarithm, with one
    more pair for each 6 and two besides, because t quantiles are larger than normal ones; at least 4."""
    normal = statistics.NormalDist()
    reach = normal.inv_cdf(1 - alpha / gates) + normal.inv_cdf(power)
    needed = (reach * spread * math.sqrt(2) / math.log(change)) ** 2
    needed = math.ceil(needed * 7 / 6) + 2
    return max(4, needed + needed % 2)


def check(name, holds, what):
    print(f'{"holds " if holds else "FAILS "} {name}: {what}')
    return holds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--equal', type=int, default=12, help='duets of equal code')
    parser.add_argument('--slow', type=int, default=20, help='duets of a head that is 10 %% slower')
    parser.add_argument('--failing', type=int, default=3, help='duets of a head that fails 20 %% of its requests')
    parser.add_argument('--pairs', type=int, default=6, help='of equal code; those of +10 %% follow from its spread')
    parser.add_argument('--most-pairs', type=int, default=12, help='of +10 %%')
    parser.add_argument('--duration', default='4s', help='load of each run')
    parser.add_argument('--test', default='payment_soak')
    parser.add_argument('--vus', type=shared.positive, default=20)
    parser.add_argument('--slow-by', default='5%', help='what the slow switch adds to the time in the service; the closer that is to its '
                        'limit, the more requests also wait for each other')
    parser.add_argument('--pin', action='store_true')
    parser.add_argument('--directory', type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / 'loadtest-verdicts')
    arguments = shared.begin(parser)
    executable = shared.subcommand()
    label_swaps = ['cargo', 'run', '--quiet', '--package', 'cargo-loadtest', '--example', 'label_swaps', '--']
    subprocess.run([*label_swaps[:-1], '--', '/dev/null'], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun = time.monotonic()
    arguments.store = arguments.directory / 'store'
    shutil.rmtree(arguments.store, ignore_errors=True)
    arguments.directory.mkdir(parents=True, exist_ok=True)
    clone = Clone(arguments.directory, arguments.slow_by)
    rows = []

    def duets(branch, count):
        for number in range(count):
            code, comparison = duet(clone, branch, arguments, executable, number)
            rows.append(tell(branch, number + 1, code, comparison, begun))
        return [row for row in rows if row['branch'] == branch]

    bars = []
    equal = duets('equal', arguments.equal)
    if equal:
        files = sorted(arguments.store.glob('sessions/*.json'))
        swaps = subprocess.run([*label_swaps, *files], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
        print(swaps)
        regressed = sum(float(line.split()[1]) for line in swaps.splitlines() if line.split()[:1] == ['regressed'])
        bars.append(check('equal code', regressed <= 5, f'{regressed} % of the label assignments regressed (at most 5 %)'))
        spread = math.sqrt(statistics.fmean(row['spread'] ** 2 for row in equal))
        arguments.pairs = min(pairs_for(spread, 1.10), arguments.most_pairs)
        print(f'a run\'s p95 has the spread s = {spread * 100:.1f} %: {arguments.pairs} pairs for +10 %', flush=True)
    slow = duets('slow', arguments.slow)
    if slow:
        moved = math.exp(statistics.fmean(math.log(row['change']) for row in slow))
        bars.append(check('the slow switch', abs(moved - 1.10) <= 0.02, f'moves p95 by {moved:.3f} over all duets (1.10 ± 0.02)'))
        found = sum(row['verdict'] == 'regressed' for row in slow)
        bars.append(check('+10 %', found >= 0.8 * len(slow), f'found in {found} of {len(slow)} (at least 16 of 20)'))
    failing = duets('failing', arguments.failing)
    if failing:
        improved = sum(bool(row['improved']) for row in failing)
        found = sum(row['verdict'] == 'regressed' for row in failing)
        bars.append(check('fast failures', improved == 0 and found == len(failing), f'{found} of {len(failing)} regressed, {improved} improved in anything'))
    print()
    shared.machine()
    print()
    print('| head | duets | pairs | p95 × base, median (from – to) | spread s of a run | regressed | unchanged | inconclusive |')
    print('| --- | --- | --- | --- | --- | --- | --- | --- |')
    for name, own in (('equal code', equal), ('10 % slower', slow), ('fails 20 % at once', failing)):
        if own:
            changes = sorted(row['change'] for row in own)
            count = lambda verdict: sum(row['verdict'] == verdict for row in own)
            print(
                f'| {name} | {len(own)} | {own[0]["pairs"]} | {statistics.median(changes):.3f} ({changes[0]:.3f} – {changes[-1]:.3f})'
                f' | {statistics.median(row["spread"] for row in own) * 100:.1f} % | {count("regressed")} | {count("unchanged")}'
                f' | {count("inconclusive")} |'
            )
    sys.exit(0 if all(bars) else 1)


if __name__ == '__main__':
    main()
