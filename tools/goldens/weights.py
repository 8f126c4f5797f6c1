"""Writes testdata/weights: small files of torch.save in its various forms, and what PyTorch reads from the
reference checkpoint (names, types, shapes and checksums of values), for the tests of the checkpoint readers.

Usage: python tools/goldens/weights.py REFERENCE_CHECKPOINT_FOLDER
Made with torch 2.13.0.
"""

import collections
import hashlib
import json
import pathlib
import sys
import zlib

import torch

OUT = pathlib.Path(__file__).resolve().parents[2] / "testdata" / "weights"
TYPES = {
    torch.float64: "f64",
    torch.float32: "f32",
    torch.float16: "f16",
    torch.bfloat16: "bf16",
    torch.int64: "i64",
    torch.int32: "i32",
    torch.uint8: "u8",
    torch.bool: "bool",
}


def raw_bytes(tensor):
    flat = tensor.detach().contiguous().reshape(-1)
    return bytes(flat.view(torch.uint8).tolist()) if flat.numel() else b""


def line(tensor):
    sides = ",".join(str(side) for side in tensor.shape)
    return f"{TYPES[tensor.dtype]}[{sides}] {zlib.crc32(raw_bytes(tensor)):08x}"


def reference(folder):
    files = [
        "multimodal_encoder/pytorch_model.bin",
        "Emu-instruct.pt",
        "unet/diffusion_pytorch_model.bin",
        "vae/diffusion_pytorch_model.bin",
        "safety_checker/pytorch_model.bin",
    ]
    result = {}
    for file in files:
        state = torch.load(folder / file, weights_only=True)
        lines = {name: line(tensor) for name, tensor in state.items()}
        text = "\n".join(f"{name} {lines[name]}" for name in sorted(lines))
        result[file] = {"count": len(lines), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        if "encoder" in file:
            result[file]["tensors"] = lines
    return result


def every_type():
    values = torch.tensor([[0.0, -1.5, 3.25], [65504.0, 1e-7, -2.0]])
    state = {f"x.{name}": values.to(dtype) for dtype, name in TYPES.items() if dtype.is_floating_point}
    for dtype in (torch.int64, torch.int32):
        state[f"x.{TYPES[dtype]}"] = torch.tensor([-(2**31), 0, 2**31 - 1], dtype=dtype)
    state["x.u8"] = torch.tensor([0, 127, 255], dtype=torch.uint8)
    state["x.bool"] = torch.tensor([True, False, True])
    state["scalar"] = torch.tensor(2.5)
    state["empty"] = torch.empty(3, 0)
    base = torch.arange(24.0)
    state["base"] = base
    state["slice"] = base[5:11]
    state["columns"] = base.reshape(4, 6)[:, 1:5:2]
    state["permuted"] = base.reshape(2, 3, 4).permute(2, 0, 1)
    state["parameter"] = torch.nn.Parameter(torch.ones(2, 2))
    return state


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    goldens = {"reference": reference(pathlib.Path(sys.argv[1]))}
    state = every_type()
    goldens["types"] = {name: line(tensor) for name, tensor in state.items()}
    for protocol in (2, 3, 4, 5):
        torch.save(state, OUT / f"types-protocol{protocol}.pt", pickle_protocol=protocol)
    layer = torch.nn.Linear(2, 3).state_dict()
    with torch.no_grad():
        for tensor in layer.values():
            tensor.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    torch.save({"module": layer, "epoch": 3, "rate": 1e-4, "note": "x", "big": 2**70}, OUT / "module.pt")
    torch.save({"state_dict": collections.OrderedDict(layer)}, OUT / "state_dict.pt")
    torch.save({"x": torch.ones(1).expand(1000)}, OUT / "expanded.pt")
    torch.save({"x": torch.ones(3, dtype=torch.int16)}, OUT / "int16.pt")
    torch.save({"x": torch.ones(3)}, OUT / "legacy.pt", _use_new_zipfile_serialization=False)
    torch.save({"x": torch.ones(3), "tuple": (1, [2, {3}], b"bytes", None, True)}, OUT / "containers.pt", pickle_protocol=4)
    torch.save(torch.nn.Linear(2, 3), OUT / "module-object.pt")
    torch.serialization.set_crc32_options(False)
    torch.save({"x": torch.ones(3)}, OUT / "no-checksums.pt")
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 3)), OUT / "torchscript.pt")
    text = json.dumps(goldens, indent=1, sort_keys=True)
    (OUT / "goldens.json").write_text(text + "\n")


main()
