"""Records op cases with the answers of PyTorch, for the generators beside this file.

A generator draws inputs with f32, bf16 and i32, records cases with `case` and ends with `write_cases`. Answers are
computed in double precision from the stored inputs and rounded to the output type once, so an implementation is
compared with the truth and not with another rounding of it.
"""

import json
import struct
import sys
from pathlib import Path

import torch

EXACT = {"absolute": 0, "relative": 0, "reason": "moves or rounds elements, nothing is summed"}
ONE_ROUNDING = {"absolute": 2e-7, "relative": 1.5e-7, "reason": "one or two f32 operations per element"}
TRANSCENDENTAL = {"absolute": 5e-7, "relative": 5e-7, "reason": "a vectorised exp, erf, sin or log of a few f32 ulp"}
SUMMED = {"absolute": 4e-6, "relative": 4e-6, "reason": "f32 sums of up to a few hundred products, any fixed order"}

tensors = {}  # stored name -> (dtype name, torch tensor)
cases = []


def f32(*shape, spread=1.0):
    return (torch.randn(*shape, dtype=torch.float64) * spread).to(torch.float32)


def bf16(*shape, spread=1.0):
    return f32(*shape, spread=spread).to(torch.bfloat16)


def i32(values):
    return torch.tensor(values, dtype=torch.int32)


def double(tensor):
    return None if tensor is None else tensor.to(torch.float64)


def like_weight(x, weight):
    """x as a product with this weight takes it: rounded to bf16 where the weight is bf16."""
    return double(x.to(torch.bfloat16) if weight.dtype == torch.bfloat16 else x)


def case(name, calls, tolerance, expected, inputs=None, weights=None, states=None):
    """Records one case. calls: list of (op, input names or None, attributes, output name or list of names)."""
    declared = []
    for role, group in (("input", inputs or {}), ("weight", weights or {})):
        for key, tensor in group.items():
            stored = f"{name}/{key}"
            tensors[stored] = tensor
            declared.append({"name": key, "role": role, "tensor": stored})
    for key, (dtype, shape) in (states or {}).items():
        declared.append({"name": key, "role": "state", "dtype": dtype, "shape": shape})
    outputs = []
    for key, tensor in expected.items():
        stored = f"{name}/={key}"
        tensors[stored] = tensor.to(torch.float32) if tensor.dtype == torch.float64 else tensor
        outputs.append({"name": key, "tensor": stored})
    written = [{"op": op, "inputs": list(names), "attributes": attributes, "output": output}
               for op, names, attributes, output in calls]
    cases.append({"name": name, "op": calls[-1][0], "declared": declared, "calls": written, "outputs": outputs,
                  "tolerance": tolerance})


def activated(kind, x):
    return {
        "none": lambda v: v,
        "gelu": torch.nn.functional.gelu,
        "quickGelu": lambda v: v * torch.sigmoid(1.702 * v),
        "relu": torch.relu,
        "silu": torch.nn.functional.silu,
    }[kind](x)


def write_safetensors(path, named):
    kinds = {torch.float32: "F32", torch.bfloat16: "BF16", torch.int32: "I32"}
    header, chunks, offset = {}, [], 0
    for name, tensor in named.items():
        tensor = tensor.contiguous()
        raw = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor
        data = raw.numpy().tobytes()
        header[name] = {"dtype": kinds[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [offset, offset + len(data)]}
        chunks.append(data)
        offset += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def write_cases(stem, made_by):
    """Writes stem.safetensors and stem.json to the directory named on the command line, testdata/ops by default."""
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "testdata/ops"
    directory.mkdir(parents=True, exist_ok=True)
    write_safetensors(directory / f"{stem}.safetensors", tensors)
    lines = ",\n".join("  " + json.dumps(entry, separators=(",", ":")) for entry in cases)
    (directory / f"{stem}.json").write_text(f'{{"madeBy":"tools/goldens/{made_by}","cases":[\n' + lines + "\n]}\n")
    print(f"{len(cases)} cases, {len(tensors)} tensors")
