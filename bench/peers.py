"""The peers of `posthuman bench`: the same work by PyTorch and transformers, measured the same way.

Prints one JSON object with the fields of `posthuman bench --json`.

    bench/.venv/bin/python bench/peers.py train --batch 4 --seq 256 --threads 2
"""

import argparse
import json
import resource
import statistics
import time

import torch
import transformers


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    config = transformers.GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False)
    model = transformers.GPT2LMHeadModel(config)
    work = {"train": train, "eval": evaluate, "decode": decode}[options.work]
    rates = sorted(work(model, options)[options.warmup :])
    print(
        json.dumps(
            {
                "work": options.work,
                "model": "gpt2-124m",
                "precision": options.precision,
                "engine": f"torch {torch.__version__}, transformers {transformers.__version__}",
                "tokens_per_second": statistics.median(rates),
                "min": rates[0],
                "max": rates[-1],
                "runs": options.runs,
                "threads": options.threads,
                "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            }
        )
    )


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", choices=["train", "eval", "decode"])
    parser.add_argument("--precision", choices=["f32", "bf16"], default="f32")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    return parser.parse_args()


def autocast(options):
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=options.precision == "bf16")


def timed(options, tokens, step):
    rates = []
    for _ in range(options.warmup + options.runs):
        start = time.perf_counter()
        step()
        rates.append(tokens / (time.perf_counter() - start))
    return rates


def train(model, options):
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1)
    tokens = torch.randint(0, 50257, (options.batch, options.seq))

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast(options):
            loss = model(tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    return timed(options, options.batch * options.seq, step)


def evaluate(model, options):
    model.eval()
    tokens = torch.randint(0, 50257, (options.batch, options.seq))

    @torch.inference_mode()
    def step():
        with autocast(options):
            model(tokens, labels=tokens)

    return timed(options, options.batch * options.seq, step)


@torch.inference_mode()
def decode(model, options):
    """A plain loop with a cache: `generate()` adds work of its own."""
    model.eval()
    if options.precision == "bf16":
        model = model.to(torch.bfloat16)
    prompt = torch.randint(0, 50257, (1, options.seq))
    rates = []
    for _ in range(options.warmup + options.runs):
        output = model(prompt, use_cache=True)
        token = output.logits[:, -1:].argmax(-1)
        start = time.perf_counter()
        for _ in range(options.tokens):
            output = model(token, past_key_values=output.past_key_values, use_cache=True)
            token = output.logits[:, -1:].argmax(-1)
        rates.append(options.tokens / (time.perf_counter() - start))
    return rates


if __name__ == "__main__":
    main()
