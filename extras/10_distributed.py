"""extras/10_distributed: the character model of chapter 10, trained on more than one machine.

Model, streams and evaluation are those of 10_text_generation.py.  Here is only what changes:

    several processes   each trains on its share of the streams; their gradients are averaged
    bfloat16            matrices are multiplied in numbers of 16 bits (--bf16)
    a text on disk      its indices are in a file that is mapped into memory

    python extras/10_distributed.py --data big.txt                            # one process
    torchrun --nproc-per-node=4 extras/10_distributed.py --data big.txt       # four, one machine
    torchrun --nnodes=2 --rdzv-backend=c10d --rdzv-endpoint=HOST:29500 extras/10_distributed.py ...

The last line runs on each of two machines, which share a disk.  It writes text.int32,
metrics.json and model.pt to outputs/10_distributed/.  Chapter 10 writes from the model:

    python 10_text_generation.py --path outputs/10_distributed/model.pt --prompt "ROMEO:"
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import rnn_utils as ru

chapter = importlib.import_module("10_text_generation")  # `import` refuses a digit in front


# %% [markdown]
# ## 1. A text on disk
# The indices of the text are written to a file, and the file is *mapped*: it looks like an array,
# but the operating system reads the pages that are touched, and forgets them again when memory is
# short.  Training reads each stream from front to back, which suits it.
# %%
BLOCK = 1 << 22  # characters that are in memory at a time
STEPS = 64  # characters in a chunk


def map_file(path) -> np.ndarray:
    """The file of (N,) int32 as an array that takes no memory."""
    return np.memmap(path, np.int32, "r+")  # "+" because PyTorch refuses a read-only array


def number_text(text_path, path, needed: int) -> list[str]:
    """Write the index of each character to the file `path`; return the vocabulary as a list."""
    try:
        with open(text_path, encoding="utf-8-sig") as text, open(path, "wb") as file:
            while block := text.read(BLOCK):
                np.array([ord(character) for character in block], np.int32).tofile(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ru.UserError(f"{text_path}: cannot be read as UTF-8 text ({error})") from None
    if path.stat().st_size < 4 * needed:
        raise ru.UserError(f"{text_path}: fewer than {needed:,} characters; give more text")
    codes = map_file(path)  # so far the numbers that Unicode gives to characters
    train = chapter.cut(codes)["train"]
    counts = np.zeros(sys.maxunicode + 1, np.int64)
    for start in range(0, len(train), BLOCK):
        counts += np.bincount(train[start : start + BLOCK], minlength=len(counts))
    known = np.flatnonzero(counts >= 2)  # a character seen once is <unk>, index 0
    index_of = np.zeros(len(counts), np.int32)
    index_of[known] = np.arange(1, len(known) + 1)
    for start in range(0, len(codes), BLOCK):
        codes[start : start + BLOCK] = index_of[codes[start : start + BLOCK]]
    codes.flush()
    return [ru.Vocab.UNK] + [chr(code) for code in known]


# %% [markdown]
# ## 2. bfloat16
# bfloat16 has fewer digits than float32 (3, not 7) but its range.  So a small gradient loses
# precision and does not become 0, and the loss need not be scaled up, as it must be for float16.
# `autocast` chooses the type of each operation; the weights, the loss and Adam stay in float32.
# It is faster only where the processor multiplies bfloat16 itself.
#
# **Pitfall.**  On CUDA, autocast gives recurrent layers to cuDNN in float16, whatever type was
# asked for, and says nothing.  So we look at the type of the state, and refuse float16.
# %%
@torch.no_grad()
def require_bfloat16(model, device: torch.device) -> None:
    """Raise UserError where this processor does not compute the state in bfloat16."""
    found = "none"
    with contextlib.suppress(RuntimeError), torch.autocast(device.type, torch.bfloat16):
        _, (h, _) = model(torch.zeros(1, 1, dtype=torch.long, device=device))
        found = h.dtype
    if found != torch.bfloat16:
        raise ru.UserError(f"--bf16: the LSTM computes {found} on this {device.type}; drop --bf16")


# %% [markdown]
# ## 3. Several processes
# torchrun starts this script several times and tells each process its number, the rank.  Each has
# a copy of the whole model, reads its own streams and carries its own state.  During `backward`,
# DistributedDataParallel (DDP) replaces every gradient by its mean over all processes.  So all
# take the same step, and the copies stay equal although no weight is sent.  All shares are equal,
# so the mean of their means is the mean of the batch.  Up to rounding, four learn the same as one.
# %%
RANK = int(os.environ.get("RANK", 0))
NUM_PROCESSES = int(os.environ.get("WORLD_SIZE", 1))


def join_processes(device: torch.device) -> torch.device:
    """Connect the processes; return the device of this one."""
    backend = "gloo"  # it sends what is in the memory of a CPU
    if device.type == "cuda":
        backend = "cpu:gloo,cuda:nccl"  # NCCL sends what is in the memory of a GPU
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    if NUM_PROCESSES > 1:
        dist.init_process_group(backend)
    return device


def train(model, data, device, epochs: int, lr: float, batch_size: int, bf16: bool) -> tuple:
    """Train as chapter 10 does, in all processes; return the history and the best epoch."""
    streams = chapter.make_streams(data["train"], batch_size, STEPS)  # (B, L) each
    inputs, targets = (stream.chunk(NUM_PROCESSES)[RANK] for stream in streams)  # my share
    num_chunks = inputs.shape[1] // STEPS
    network = torch.nn.parallel.DistributedDataParallel(model) if NUM_PROCESSES > 1 else model
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    history = []
    best = {"epoch": 0, "loss": float("inf")}
    for epoch in range(1, epochs + 1):
        started = time.perf_counter()
        network.train()
        state = None
        loss_sum = 0.0
        for k in range(num_chunks):
            for group in optimizer.param_groups:
                step = (epoch - 1) * num_chunks + k
                group["lr"] = ru.learning_rate(step, epochs * num_chunks, lr)
            columns = slice(k * STEPS, (k + 1) * STEPS)
            chunk_inputs = inputs[:, columns].to(device, torch.long)  # (B, T), read from disk
            chunk_targets = targets[:, columns].to(device, torch.long)  # (B, T)
            if torch.rand(()) < chapter.RESTART:  # one seed: the same number in all processes
                state = None
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                logits, (h, c) = network(chunk_inputs, state)  # (B, T, V)
            state = (h.detach(), c.detach())
            loss = F.cross_entropy(logits.float().flatten(0, 1), chunk_targets.flatten())
            optimizer.zero_grad()
            loss.backward()  # DDP averages the gradients
            ru.clip_gradients(model.parameters(), 1.0)
            optimizer.step()
            loss_sum += loss.item()
        ru.check_finite(loss_sum, epoch)
        if RANK == 0:  # the others wait for its next gradients
            val = chapter.evaluate(model, data["val"])
            row = {"epoch": epoch, "train_loss": loss_sum / num_chunks, "val_loss": val["loss"]}
            row.update(val_bits=val["bits"], seconds=round(time.perf_counter() - started, 3))
            history.append(row)
            if val["loss"] < best["loss"]:
                best = {"epoch": epoch, "loss": val["loss"], "weights": ru.snapshot(model)}
            ru.print_epoch(row, best["epoch"])
    return history, best


# %% [markdown]
# ## 4. Command line and main
# %%
def parse_args(argv=None) -> argparse.Namespace:
    parser = ru.make_parser(__doc__)
    add = parser.add_argument_group("this script").add_argument
    add("--data", metavar="PATH", required=True, help="a UTF-8 text of any size")
    add("--epochs", type=ru.at_least(1), default=5, help="passes over the text")
    add("--lr", type=ru.between(1e-9, 10), default=4e-3, help="peak learning rate")
    add("--batch-size", type=ru.at_least(1), default=16, help="streams of all processes together")
    add("--hidden-size", type=ru.at_least(1), default=384, help="numbers in the state h_t")
    add("--bf16", action="store_true", help="train in bfloat16, where that is fast")
    ru.add_run_flags(parser, downloads=False)
    return parser.parse_args(argv)


def main(argv=None) -> dict:
    args = parse_args(argv)
    if args.batch_size % NUM_PROCESSES:
        raise ru.UserError(f"--batch-size {args.batch_size}: no multiple of {NUM_PROCESSES}")
    if RANK:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (process 0 reports for all)
    device, _ = ru.start_run(args, "10_distributed")
    device = join_processes(device)
    path = Path(args.output_dir) / "text.int32"
    tokens = [None]
    if RANK == 0:
        tokens[0] = number_text(args.data, path, needed=2 * args.batch_size * STEPS)
    if NUM_PROCESSES > 1:
        dist.broadcast_object_list(tokens, src=0)  # the others wait here for the file
    data = chapter.cut(torch.from_numpy(map_file(path)))
    for part in ("val", "test"):  # a million characters are enough, and fit into memory
        data[part] = data[part][:1_000_001].to(device, torch.long)
    sizes = {"vocab_size": len(tokens[0]), "hidden_size": args.hidden_size}
    model = chapter.LanguageModel(**sizes).to(device)
    if args.bf16:
        require_bfloat16(model, device)
    history, best = train(model, data, device, args.epochs, args.lr, args.batch_size, args.bf16)
    if NUM_PROCESSES > 1:
        dist.destroy_process_group()
    if RANK:
        return {}
    model.load_state_dict(best["weights"])
    test = chapter.evaluate(model, data["test"])  # the only look at test
    ru.print_test(test, {}, "bits", f"epoch {best['epoch']}, chosen on validation")
    about = {"config": {"level": "char"}, "sizes": sizes, "vocab": tokens[0]}
    ru.save_checkpoint(path.with_name("model.pt"), chapter.TUTORIAL, {"about": about, "best": best})
    measured = {"history": history, "test": test, "processes": NUM_PROCESSES}
    return ru.write_metrics(args, "10_distributed", args.data, False, measured)


if __name__ == "__main__":
    ru.run(main)
