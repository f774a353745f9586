"""The peers of `posthuman bench`: the same work by PyTorch and transformers, or by llama.cpp, measured the same way.

Prints one JSON object with the fields of `posthuman bench --json`.

    bench/.venv/bin/python bench/peers.py train --batch 4 --seq 256 --threads 2
    bench/.venv/bin/python bench/peers.py prefill --model FILE.gguf --seq 512

GPT-2 is PyTorch's work, a GGUF file llama.cpp's. What llama.cpp does for a token goes through Python once.
"""

import argparse
import json
import random
import resource
import statistics
import time


def main() -> None:
    options = arguments()
    engine = LlamaCpp(options) if options.model.endswith(".gguf") else PyTorch(options)
    work = {"train": engine.train, "eval": engine.evaluate, "prefill": engine.prefill, "decode": engine.decode}
    rates = sorted(work[options.work]()[options.warmup :])
    print(
        json.dumps(
            {
                "work": options.work,
                "model": options.model,
                "precision": options.precision,
                "engine": engine.name,
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
    parser.add_argument("work", choices=["train", "eval", "prefill", "decode"])
    parser.add_argument("--model", default="gpt2-124m", help="gpt2-124m or a GGUF file")
    parser.add_argument("--precision", choices=["f32", "bf16", "native"], default="native")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--seq", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    return parser.parse_args()


def timed(options, tokens, step):
    rates = []
    for _ in range(options.warmup + options.runs):
        start = time.perf_counter()
        step()
        rates.append(tokens / (time.perf_counter() - start))
    return rates


class PyTorch:
    """GPT-2 124M with random weights."""

    def __init__(self, options):
        import torch
        import transformers

        self.torch, self.options = torch, options
        self.name = f"torch {torch.__version__}, transformers {transformers.__version__}"
        torch.set_num_threads(options.threads)
        torch.manual_seed(1)
        config = transformers.GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, use_cache=False)
        self.model = transformers.GPT2LMHeadModel(config)

    def autocast(self):
        return self.torch.autocast("cpu", dtype=self.torch.bfloat16, enabled=self.options.precision == "bf16")

    def tokens(self):
        return self.torch.randint(0, 50257, (self.options.batch, self.options.seq))

    def train(self):
        self.model.train()
        optimizer = self.torch.optim.AdamW(self.model.parameters(), lr=1e-4, weight_decay=0.1)
        tokens = self.tokens()

        def step():
            optimizer.zero_grad(set_to_none=True)
            with self.autocast():
                loss = self.model(tokens, labels=tokens).loss
            loss.backward()
            self.torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()

        return timed(self.options, tokens.numel(), step)

    def evaluate(self):
        self.model.eval()
        tokens = self.tokens()

        def step():
            with self.torch.inference_mode(), self.autocast():
                self.model(tokens, labels=tokens)

        return timed(self.options, tokens.numel(), step)

    def prefill(self):
        self.model.eval()
        tokens = self.torch.randint(0, 50257, (1, self.options.seq))

        def step():
            with self.torch.inference_mode(), self.autocast():
                self.model(tokens, use_cache=True, logits_to_keep=1)

        return timed(self.options, tokens.numel(), step)

    def decode(self):
        """A plain loop with a cache: `generate()` adds work of its own."""
        self.model.eval()
        if self.options.precision == "bf16":
            self.model = self.model.to(self.torch.bfloat16)
        prompt = self.torch.randint(0, 50257, (1, self.options.seq))
        rates = []
        for _ in range(self.options.warmup + self.options.runs):
            with self.torch.inference_mode():
                output = self.model(prompt, use_cache=True)
                token = output.logits[:, -1:].argmax(-1)
                start = time.perf_counter()
                for _ in range(self.options.tokens):
                    output = self.model(token, past_key_values=output.past_key_values, use_cache=True)
                    token = output.logits[:, -1:].argmax(-1)
            rates.append(self.options.tokens / (time.perf_counter() - start))
        return rates


class LlamaCpp:
    """A GGUF file in its own quantisation."""

    def __init__(self, options):
        import llama_cpp

        self.options = options
        self.name = f"llama.cpp of llama-cpp-python {llama_cpp.__version__}"
        threads, room = options.threads, options.seq + options.tokens
        self.model = llama_cpp.Llama(
            model_path=options.model,
            n_ctx=room,
            n_batch=options.seq,
            n_ubatch=options.seq,
            n_threads=threads,
            n_threads_batch=threads,
            verbose=False,
        )
        chosen = random.Random(1)
        self.tokens = [chosen.randrange(self.model.n_vocab()) for _ in range(options.seq)]

    def train(self):
        raise SystemExit("llama.cpp does not train: give gpt2-124m")

    def evaluate(self):
        raise SystemExit("llama.cpp's losses are not measured here: give gpt2-124m")

    def prefill(self):
        def step():
            self.model.reset()
            self.model.eval(self.tokens)

        return timed(self.options, self.options.seq, step)

    def decode(self):
        rates = []
        for _ in range(self.options.warmup + self.options.runs):
            self.model.reset()
            self.model.eval(self.tokens)
            start = time.perf_counter()
            for index in range(self.options.tokens):
                self.model.eval([self.tokens[index % len(self.tokens)]])
            rates.append(self.options.tokens / (time.perf_counter() - start))
        return rates


if __name__ == "__main__":
    main()
