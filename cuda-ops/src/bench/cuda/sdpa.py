"""Times PyTorch's softmax attention by each of its fast kernels, and a large bfloat16 product.

Prints lines "softmax NAME N MILLISECONDS" and "product bfloat16 TFLOPS"; what cannot run is told on stderr.
"""
import statistics
import sys

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

HEADS, DEPTH = 12, 128
TOKENS = (32760, 8190, 75600)  # what the aims are measured against first: the time may end early


def milliseconds(work, repeats):
    for _ in range(3):
        work()
    times = []
    for _ in range(repeats):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        work()
        end.record()
        end.synchronize()
        times.append(begin.elapsed_time(end))
    return statistics.median(times)


def main():
    size = 8192
    a = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    b = torch.randn(size, size, device="cuda", dtype=torch.bfloat16)
    print("product bfloat16", 2 * size**3 / milliseconds(lambda: a @ b, 20) / 1e9, flush=True)
    del a, b
    for tokens in TOKENS:
        for name, backend in (("cudnn", SDPBackend.CUDNN_ATTENTION), ("flash", SDPBackend.FLASH_ATTENTION)):
            q, k, v = (torch.randn(1, HEADS, tokens, DEPTH, device="cuda", dtype=torch.bfloat16) for _ in range(3))
            try:
                with sdpa_kernel(backend), torch.no_grad():
                    ms = milliseconds(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v), 10)
                print("softmax", name, tokens, ms, flush=True)
            except RuntimeError as e:
                print(f"gpu-check: softmax by {name} at N={tokens} does not run here: {str(e).splitlines()[0]}", file=sys.stderr)


if __name__ == "__main__":
    main()
