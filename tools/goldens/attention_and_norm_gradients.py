"""Makes testdata/ops/attention-and-norm-gradients.{safetensors,json}: the gradients of attention, norms and losses.

    python tools/goldens/attention_and_norm_gradients.py [OUTPUT_DIRECTORY]

The answers are PyTorch's autograd in double precision. The files are byte for byte the same on every run.
"""

import math

import torch
import torch.nn.functional as F

from op_cases import SUMMED, activated, case, double, f32, i32, write_cases

torch.manual_seed(20240604)

CENTRED = {"absolute": 2e-5, "relative": 1e-5,
           "reason": "an f32 rounding of weight dy, times the inverse deviation, which epsilon alone bounds"}


def tracked(tensor):
    return double(tensor).requires_grad_()


def gradient_case(name, op, attributes, inputs, y, dy, gradients, before=(), order=None,
                  tolerance=SUMMED):
    """inputs: stored tensors by name; gradients: what to differentiate y by, by the name of its gradient."""
    found = torch.autograd.grad(y, list(gradients.values()), double(dy))
    outputs = dict(zip(gradients, found))
    names = order or [*inputs, "dy"]
    case(name, [*before, (op, names, attributes, list(outputs))], tolerance, outputs, inputs | {"dy": dy})


def attend(q, k, v, scale, mask):
    """Softmax written out, so that a query which sees no key gives zeros and has a gradient of zero."""
    shared = q.shape[2] // k.shape[2]
    k, v = (t.repeat_interleave(shared, dim=2) for t in (k, v))
    scores = torch.einsum("bthk,bshk->bhts", q, k) * scale + mask
    largest = scores.amax(-1, keepdim=True).detach() if scores.shape[-1] else torch.zeros(1, dtype=scores.dtype)
    weights = torch.exp(scores - largest.masked_fill(largest == -math.inf, 0))
    total = weights.sum(-1, keepdim=True)
    weights = torch.where(total > 0, weights / total.masked_fill(total == 0, 1), torch.zeros_like(weights))
    return torch.einsum("bhts,bshk->bthk", weights, v)


def attention_case(name, batch, queries, keys, heads, groups, width, causal=False, bias=False, first=None):
    q, k, v = f32(batch, queries, heads, width), f32(batch, keys, groups, width), f32(batch, keys, groups, width)
    b = f32(heads, queries, keys) if bias else None
    tracked_inputs = {"dq": tracked(q), "dk": tracked(k), "dv": tracked(v)}
    mask = torch.zeros(batch, heads, queries, keys, dtype=torch.float64)
    if bias:
        tracked_inputs["dbias"] = tracked(b)
        mask = mask + tracked_inputs["dbias"]
    if causal:
        mask = mask.masked_fill(torch.ones(queries, keys, dtype=torch.bool).triu(keys - queries + 1), -math.inf)
    inputs = {"q": q, "k": k, "v": v} | ({"bias": b} if bias else {})
    if first is not None:
        inputs["firstKey"] = i32(first)
        hidden = torch.arange(keys) < inputs["firstKey"][:, :, None]
        mask = mask.masked_fill(hidden[:, None], -math.inf)
    scale = width ** -0.5
    y = attend(*(tracked_inputs[key] for key in ("dq", "dk", "dv")), scale, mask)
    attributes = {"scale": scale, "causal": int(causal)}
    names = ["q", "k", "v", "bias" if bias else None, "firstKey" if first is not None else None]
    forward = ("attention", names, attributes, "out")
    if first is not None:
        case(f"attention/{name}", [forward], SUMMED, {"out": y.detach()}, inputs)
    gradient_case(f"attentionGradient/{name}", "attentionGradient", attributes, inputs, y,
                  f32(batch, queries, heads, width), tracked_inputs, [forward], [*names, "out", "dy"])


attention_case("one-of-each", 1, 1, 1, 1, 1, 8)
attention_case("causal", 2, 7, 7, 3, 3, 8, causal=True)
attention_case("causal-prefix", 1, 3, 9, 2, 2, 17, causal=True)
attention_case("causal-more-queries", 1, 5, 3, 2, 1, 4, causal=True)
attention_case("cross-bias", 2, 4, 6, 2, 2, 5, bias=True)
attention_case("causal-bias-grouped", 2, 6, 6, 4, 2, 8, causal=True, bias=True)
attention_case("grouped", 1, 5, 33, 6, 2, 16)
attention_case("packed", 2, 6, 6, 2, 1, 8, causal=True, first=[[0, 0, 2, 2, 2, 5], [0, 1, 2, 3, 4, 5]])
attention_case("packed-sees-nothing", 1, 4, 5, 1, 1, 3, first=[[0, 5, 4, 2]])
attention_case("packed-bias", 2, 4, 6, 2, 2, 5, causal=True, bias=True, first=[[0, 1, 6, 2], [3, 3, 3, 0]])

for rows, width in (([1], 17), ([2, 3], 64), ([5], 1), ([0], 8)):
    label = "x".join(map(str, [*rows, width]))
    x, weight, bias, dy = f32(*rows, width, spread=3), f32(width), f32(width), f32(*rows, width)
    inputs = {"x": x, "weight": weight}
    of = {"dx": tracked(x), "dweight": tracked(weight), "dbias": tracked(bias)}
    y = F.layer_norm(of["dx"], [width], of["dweight"], of["dbias"], 1e-5)
    gradient_case(f"layerNormGradient/{label}", "layerNormGradient", {"epsilon": 1e-5}, inputs, y, dy, of,
                  tolerance=CENTRED)
    of = {"dx": tracked(x), "dweight": tracked(weight)}
    y = F.rms_norm(of["dx"], [width], of["dweight"], 1e-6)
    gradient_case(f"rmsNormGradient/{label}", "rmsNormGradient", {"epsilon": 1e-6}, inputs, y, dy, of)

for shape, groups, activation in (([2, 3, 5, 6], 3, "none"), ([1, 4, 4, 8], 1, "silu"), ([3, 7, 4], 4, "gelu"),
                                  ([2, 5, 6], 2, "relu"), ([1, 3, 9], 3, "quickGelu")):
    x, weight, bias, dy = f32(*shape, spread=2), f32(shape[-1]), f32(shape[-1]), f32(*shape)
    of = {"dx": tracked(x), "dweight": tracked(weight), "dbias": tracked(bias)}
    y = F.group_norm(of["dx"].movedim(-1, 1), groups, of["dweight"], of["dbias"], 1e-5).movedim(1, -1)
    gradient_case(f"groupNormGradient/{'x'.join(map(str, shape))}-{groups}-{activation}", "groupNormGradient",
                  {"groups": groups, "epsilon": 1e-5, "activation": activation},
                  {"x": x, "weight": weight, "bias": bias}, activated(activation, y), dy, of,
                  tolerance=CENTRED)

logits, target, dy = f32(5, 37, spread=8), i32([0, 36, -100, 7, 7]), f32(5)
of = {"dlogits": tracked(logits)}
y = F.cross_entropy(of["dlogits"], target.long(), reduction="none")
gradient_case("crossEntropyGradient/ignored", "crossEntropyGradient", {}, {"logits": logits, "target": target}, y, dy, of)

for rows, width in (([1], 1), ([2, 3], 33), ([4], 130)):
    x, dy = f32(*rows, width, spread=4), f32(*rows, width)
    of = {"dx": tracked(x)}
    y = F.log_softmax(of["dx"], -1)
    gradient_case(f"logSoftmaxGradient/{width}", "logSoftmaxGradient", {}, {"x": x}, y, dy, of,
                  [("logSoftmax", ["x"], {}, "y")], ["y", "dy"])

write_cases("attention-and-norm-gradients", "attention_and_norm_gradients.py")
