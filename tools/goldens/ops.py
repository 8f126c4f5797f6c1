"""Makes testdata/ops/ops.safetensors and ops.json: tiny cases of every op with the answers of PyTorch.

    python tools/goldens/ops.py [OUTPUT_DIRECTORY]

Inputs are drawn with a fixed seed; the files are byte for byte the same on every run.
"""

import math

import torch
import torch.nn.functional as F

from op_cases import (EXACT, ONE_ROUNDING, SUMMED, TRANSCENDENTAL, activated, bf16, case, double, f32, i32, like_weight,
                      write_cases)

torch.manual_seed(20240521)


def linear_case(name, rows, width_in, width_out, weight_kind, activation="none", bias=True, residual=False):
    x = f32(*rows, width_in)
    weight = weight_kind(width_out, width_in, spread=width_in ** -0.5)
    b = f32(width_out) if bias else None
    r = f32(*rows, width_out) if residual else None
    y = activated(activation, F.linear(like_weight(x, weight), double(weight), double(b)))
    if residual:
        y = y + double(r)
    inputs = {"x": x} | ({"residual": r} if residual else {})
    weights = {"weight": weight} | ({"bias": b} if bias else {})
    names = ["x", "weight", "bias" if bias else None, "residual" if residual else None]
    case(name, [("linear", names, {"activation": activation}, "y")], SUMMED, {"y": y}, inputs, weights)


linear_case("linear/one-row", [1], 17, 5, f32)
linear_case("linear/no-bias", [3], 88, 9, f32, bias=False)
linear_case("linear/gelu-residual", [2, 5], 33, 17, f32, "gelu", residual=True)
linear_case("linear/quickGelu", [7], 16, 31, f32, "quickGelu")
linear_case("linear/relu", [5], 65, 1, f32, "relu")
linear_case("linear/width-1", [4], 1, 3, f32)
linear_case("linear/bf16-one-row", [1], 63, 16, bf16)
linear_case("linear/bf16-silu-residual", [9], 65, 15, bf16, "silu", residual=True)
linear_case("linear/no-rows", [0], 8, 4, f32)


def convolution_case(name, picture, channels_out, kernel, stride, padding, weight_kind, activation="none",
                     bias=True, residual=False):
    batch, height, width, channels = picture
    x = f32(*picture)
    weight = weight_kind(channels_out, channels, *kernel, spread=(channels * kernel[0] * kernel[1]) ** -0.5)
    b = f32(channels_out) if bias else None
    top, bottom, left, right = padding
    padded = F.pad(like_weight(x, weight).permute(0, 3, 1, 2), (left, right, top, bottom))
    y = activated(activation, F.conv2d(padded, double(weight), double(b), stride)).permute(0, 2, 3, 1)
    r = f32(*y.shape) if residual else None
    if residual:
        y = y + double(r)
    inputs = {"x": x} | ({"residual": r} if residual else {})
    weights = {"weight": weight} | ({"bias": b} if bias else {})
    names = ["x", "weight", "bias" if bias else None, "residual" if residual else None]
    attributes = {"stride": stride, "padding": list(padding), "activation": activation}
    case(name, [("convolution", names, attributes, "y")], SUMMED, {"y": y.contiguous()}, inputs, weights)


convolution_case("convolution/3x3", [1, 5, 7, 3], 4, [3, 3], 1, [1, 1, 1, 1], f32)
convolution_case("convolution/1x1-batch", [3, 4, 1, 17], 5, [1, 1], 1, [0, 0, 0, 0], f32, bias=False)
convolution_case("convolution/stride-2-asymmetric", [2, 6, 5, 4], 3, [3, 3], 2, [0, 1, 0, 1], f32, residual=True)
convolution_case("convolution/patches", [1, 8, 8, 3], 9, [4, 4], 4, [0, 0, 0, 0], f32, "gelu")
convolution_case("convolution/bf16", [1, 4, 6, 16], 17, [3, 3], 1, [1, 1, 1, 1], bf16, "silu", residual=True)
convolution_case("convolution/lopsided", [1, 3, 2, 2], 3, [2, 3], 1, [2, 0, 0, 3], f32)

for rows, width in (([1], 17), ([2, 3], 64), ([5], 1), ([0], 8)):
    label = "x".join(map(str, [*rows, width]))
    x, weight, bias = f32(*rows, width, spread=3), f32(width), f32(width)
    case(f"rmsNorm/{label}", [("rmsNorm", ["x", "weight"], {"epsilon": 1e-6}, "y")], SUMMED,
         {"y": F.rms_norm(double(x), [width], double(weight), 1e-6)}, {"x": x}, {"weight": weight})
    case(f"layerNorm/{label}", [("layerNorm", ["x", "weight", "bias"], {"epsilon": 1e-5}, "y")], SUMMED,
         {"y": F.layer_norm(double(x), [width], double(weight), double(bias), 1e-5)}, {"x": x},
         {"weight": weight, "bias": bias})

x, weight, bias = f32(3, 40) + 1000, f32(40), f32(40)
case("layerNorm/far-from-zero", [("layerNorm", ["x", "weight", "bias"], {"epsilon": 1e-5}, "y")],
     {"absolute": 5e-4, "relative": 1e-4, "reason": "the mean of 1000 costs three decimal digits of an f32"},
     {"y": F.layer_norm(double(x), [40], double(weight), double(bias), 1e-5)}, {"x": x},
     {"weight": weight, "bias": bias})

for shape, groups, activation in (([2, 3, 5, 6], 3, "none"), ([1, 4, 4, 8], 1, "silu"), ([3, 7, 4], 4, "silu")):
    x, weight, bias = f32(*shape, spread=2), f32(shape[-1]), f32(shape[-1])
    y = F.group_norm(double(x).movedim(-1, 1), groups, double(weight), double(bias), 1e-5).movedim(1, -1)
    case(f"groupNorm/{'x'.join(map(str, shape))}-{groups}",
         [("groupNorm", ["x", "weight", "bias"], {"groups": groups, "epsilon": 1e-5, "activation": activation}, "y")],
         SUMMED, {"y": activated(activation, y).contiguous()}, {"x": x}, {"weight": weight, "bias": bias})


def attend(q, k, v, scale, mask=None):
    """q [B,T,H,K], k and v [B,S,G,K] in double precision; mask is added to the scores."""
    shared = q.shape[2] // k.shape[2]
    k, v = (t.repeat_interleave(shared, dim=2).transpose(1, 2) for t in (k, v))
    return F.scaled_dot_product_attention(q.transpose(1, 2), k, v, mask, scale=scale).transpose(1, 2)


def attention_case(name, batch, queries, keys, heads, groups, width, causal=False, bias=False):
    q, k, v = f32(batch, queries, heads, width), f32(batch, keys, groups, width), f32(batch, keys, groups, width)
    b = f32(heads, queries, keys) if bias else None
    mask = torch.zeros(heads, queries, keys, dtype=torch.float64) if b is None else double(b)
    if causal:
        hidden = torch.ones(queries, keys, dtype=torch.bool).triu(keys - queries + 1)
        mask = mask.masked_fill(hidden, -math.inf)
    scale = width ** -0.5
    y = attend(double(q), double(k), double(v), scale, mask).contiguous()
    if causal and keys < queries:
        y[:, : queries - keys] = 0  # these queries see no key; we define zeros where PyTorch gives NaN
    inputs = {"q": q, "k": k, "v": v} | ({"bias": b} if bias else {})
    names = ["q", "k", "v", "bias" if bias else None]
    case(name, [("attention", names, {"scale": scale, "causal": int(causal)}, "y")], SUMMED, {"y": y}, inputs)


attention_case("attention/one-of-each", 1, 1, 1, 1, 1, 8)
attention_case("attention/causal", 2, 7, 7, 3, 3, 8, causal=True)
attention_case("attention/causal-prefix", 1, 3, 9, 2, 2, 17, causal=True)
attention_case("attention/causal-more-queries", 1, 5, 3, 2, 1, 4, causal=True)
attention_case("attention/cross-bias", 2, 4, 6, 2, 2, 5, bias=True)
attention_case("attention/causal-bias", 1, 6, 6, 2, 1, 8, causal=True, bias=True)
attention_case("attention/grouped", 1, 5, 33, 6, 2, 16)
attention_case("attention/width-88", 1, 3, 19, 1, 1, 88)


def cached_case(name, cache_kind, pages, page_size, groups, width, heads, table, written, asked):
    """written and asked: lists of (slot, position). Unwritten places hold zeros."""
    dtype = "bf16" if cache_kind is bf16 else "f32"
    rows = {"key": f32(len(written), groups, width), "value": f32(len(written), groups, width)}
    q = f32(len(asked), heads, width)
    caches = {}
    for key in rows:
        cache = torch.zeros(pages, page_size, groups, width, dtype=torch.float32)
        for row, (slot, position) in enumerate(written):
            if slot >= 0:
                cache[table[slot][position // page_size], position % page_size] = rows[key][row]
        caches[key] = cache.to(torch.bfloat16) if dtype == "bf16" else cache
    scale = width ** -0.5
    y = torch.zeros(len(asked), heads, width, dtype=torch.float64)
    for row, (slot, position) in enumerate(asked):
        if slot < 0:
            continue
        places = [table[slot][s // page_size] * page_size + s % page_size for s in range(position + 1)]
        k, v = (double(caches[key]).flatten(0, 1)[places][None] for key in ("key", "value"))
        y[row] = attend(double(q[row])[None, None], k, v, scale)[0, 0]
    inputs = {"q": q, "keyRows": rows["key"], "valueRows": rows["value"], "pageTable": i32(table)}
    inputs |= {"slot": i32([s for s, _ in written]), "position": i32([p for _, p in written])}
    inputs |= {"askedSlot": i32([s for s, _ in asked]), "askedPosition": i32([p for _, p in asked])}
    # Keys lie with their positions last.
    caches = {"key": caches["key"].permute(0, 2, 3, 1).contiguous(),
              "value": caches["value"].permute(0, 2, 1, 3).contiguous()}
    states = {f"{key}Cache": (dtype, list(cache.shape)) for key, cache in caches.items()}
    where = ["slot", "position", "pageTable"]
    calls = [("cacheWrite", ["keyCache", "keyRows", *where], {"part": "keys"}, "keys"),
             ("cacheWrite", ["valueCache", "valueRows", *where], {"part": "values"}, "values")]
    case(f"cacheWrite/{name}", calls, EXACT, {"keys": caches["key"], "values": caches["value"]},
         {key: inputs[key] for key in ("keyRows", "valueRows", *where)}, states=states)
    asking = ["q", "keys", "values", "askedSlot", "askedPosition", "pageTable"]
    case(f"cachedAttention/{name}", [*calls, ("cachedAttention", asking, {"scale": scale}, "y")], SUMMED, {"y": y},
         inputs, states=states)


# Slot 0 has 6 rows over two scattered pages, slot 1 has 3; row -1 is padding.
two_slots = [(0, p) for p in range(6)] + [(-1, 0)] + [(1, p) for p in range(3)]
cached_case("f32", f32, 5, 4, 2, 9, 4, [[3, 1], [4, 0]], two_slots, [(0, 5), (1, 2), (-1, 0), (0, 0), (1, 1)])
cached_case("bf16", bf16, 5, 4, 1, 16, 3, [[2, 4], [0, 1]], two_slots, [(1, 2), (0, 3), (0, 4)])
cached_case("page-of-one", f32, 4, 1, 1, 8, 1, [[3, 0, 2]], [(0, p) for p in range(3)], [(0, 2)])

cache_rows = f32(6, 2, 3)
filled = cache_rows.reshape(3, 2, 2, 3).transpose(1, 2).contiguous()
copied = filled.clone()
copied[0] = filled[2]
copied[1] = copied[0]
case("cachePageCopy/chain",
     [("cacheWrite", ["cache", "rows", "slot", "position", "pageTable"], {"part": "values"}, "written"),
      ("cachePageCopy", ["written", "from", "to"], {}, "copied")],
     EXACT, {"copied": copied},
     {"rows": cache_rows, "slot": i32([0] * 6), "position": i32(range(6)), "pageTable": i32([[0, 1, 2]]),
      "from": i32([2, -1, 0]), "to": i32([0, 9, 1])},
     states={"cache": ("f32", [3, 2, 2, 3])})

for heads, width, positions in ((1, 2, [0]), (3, 16, [0, 1, 511, 2047]), (2, 88, [5, 4, 100])):
    x = f32(len(positions), heads, width)
    frequency = (10000.0 ** (-2 * torch.arange(width // 2, dtype=torch.float64) / width)).to(torch.float32)
    angle = torch.tensor(positions, dtype=torch.float32)[:, None] * frequency  # f32 product
    cosine, sine = (fn(double(angle)).to(torch.float32).to(torch.float64)[:, None] for fn in (torch.cos, torch.sin))
    first, second = double(x).chunk(2, dim=-1)
    y = torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
    case(f"rotaryEmbedding/{heads}x{width}",
         [("rotaryEmbedding", ["x", "position"], {"theta": 10000}, "y")], TRANSCENDENTAL, {"y": y},
         {"x": x, "position": i32(positions)})

for kind in (f32, bf16):
    table, ids = kind(11, 7), i32([[10, 0, 3], [3, 3, 9]])
    case(f"embedding/{kind.__name__}", [("embedding", ["table", "ids"], {}, "y")], EXACT,
         {"y": F.embedding(ids, double(table))}, {"ids": ids}, {"table": table})

x, rows = f32(6, 5), f32(3, 5)
replaced = x.clone()
replaced[4], replaced[0] = rows[0], rows[2]
case("replaceRows/skip", [("replaceRows", ["x", "rows", "target"], {}, "y")], EXACT, {"y": replaced},
     {"x": x, "rows": rows, "target": i32([4, -1, 0])})
case("gatherRows/repeat", [("gatherRows", ["x", "index"], {}, "y")], EXACT, {"y": x[[5, 0, 5, 2]]},
     {"x": x, "index": i32([5, 0, 5, 2])})

for op, compute in (("add", torch.add), ("multiply", torch.multiply)):
    for label, left, right in (("same", [3, 17], [3, 17]), ("row", [2, 3, 5], [5]), ("column", [4, 7], [4, 1]),
                               ("middle", [2, 3, 4], [2, 1, 4]), ("one", [9], [1])):
        a, b = f32(*left), f32(*right)
        case(f"{op}/{label}", [(op, ["a", "b"], {}, "y")], ONE_ROUNDING, {"y": compute(double(a), double(b))},
             {"a": a, "b": b})

x = f32(3, 11)
case("scale/odd", [("scale", ["x"], {"factor": -0.18215, "offset": 0.5}, "y")], ONE_ROUNDING,
     {"y": double(x) * -0.18215 + 0.5}, {"x": x})
for kind in ("none", "gelu", "quickGelu", "relu", "silu"):
    x = torch.cat([f32(29, spread=4), torch.tensor([0.0, -0.0, 60.0, -60.0, 1e-8, -120.0])])
    case(f"activation/{kind}", [("activation", ["x"], {"activation": kind}, "y")], TRANSCENDENTAL,
         {"y": activated(kind, double(x))}, {"x": x})
    gate, up = f32(3, 13, spread=2), f32(3, 13)
    case(f"gatedActivation/{kind}", [("gatedActivation", ["gate", "up"], {"activation": kind}, "y")],
         TRANSCENDENTAL, {"y": activated(kind, double(gate)) * double(up)}, {"gate": gate, "up": up})

for axis, shapes in ((0, ([2, 3], [1, 3])), (1, ([2, 1, 3], [2, 4, 3], [2, 0, 3])), (2, ([2, 3, 5], [2, 3, 1]))):
    parts = {f"x{i}": f32(*shape) for i, shape in enumerate(shapes)}
    case(f"concat/axis-{axis}", [("concat", list(parts), {"axis": axis}, "y")], EXACT,
         {"y": torch.cat(list(parts.values()), axis)}, parts)
x = f32(3, 7, 5)
for axis, start, length in ((0, 2, 1), (1, 0, 7), (1, 3, 2), (2, 4, 0)):
    case(f"slice/axis-{axis}-{start}-{length}",
         [("slice", ["x"], {"axis": axis, "start": start, "length": length}, "y")], EXACT,
         {"y": x.narrow(axis, start, length).contiguous()}, {"x": x})
case("reshape/split", [("reshape", ["x"], {"shape": [7, 1, 15]}, "y")], EXACT, {"y": x.reshape(7, 1, 15)}, {"x": x})
case("reshape/through-an-op",
     [("reshape", ["x"], {"shape": [15, 7]}, "view"), ("add", ["view", "view"], {}, "y")], EXACT,
     {"y": (x + x).reshape(15, 7)}, {"x": x})
for axes in ([2, 0, 1], [0, 2, 1], [0, 1, 2]):
    case(f"permute/{''.join(map(str, axes))}", [("permute", ["x"], {"axes": axes}, "y")], EXACT,
         {"y": x.permute(axes).contiguous()}, {"x": x})
x = f32(2, 3, 2, 5, 1)
case("permute/five-axes", [("permute", ["x"], {"axes": [4, 2, 0, 3, 1]}, "y")], EXACT,
     {"y": x.permute(4, 2, 0, 3, 1).contiguous()}, {"x": x})

x = f32(2, 3, 5, 4)
for height, width in ((6, 10), (7, 5), (2, 3)):
    y = F.interpolate(x.permute(0, 3, 1, 2), (height, width), mode="nearest").permute(0, 2, 3, 1)
    case(f"upsampleNearest/{height}x{width}", [("upsampleNearest", ["x"], {"height": height, "width": width}, "y")],
         EXACT, {"y": y.contiguous()}, {"x": x})

for rows, width in (([1], 1), ([2, 3], 33), ([4], 130)):
    x = f32(*rows, width, spread=10)
    case(f"logSoftmax/{width}", [("logSoftmax", ["x"], {}, "y")], SUMMED,
         {"y": F.log_softmax(double(x), -1)}, {"x": x})
logits, target = f32(5, 37, spread=8), i32([0, 36, -100, 7, 7])
case("crossEntropy/ignored", [("crossEntropy", ["logits", "target"], {}, "y")], SUMMED,
     {"y": F.cross_entropy(double(logits), target.long(), reduction="none")}, {"logits": logits, "target": target})

ties = torch.tensor([1.00390625, 1.01171875, -1.00390625, 3.3895e38, 1e-40, 0.0, -0.0, 65504.0])
x = torch.cat([f32(25), ties])
case("cast/to-bf16", [("cast", ["x"], {"dtype": "bf16"}, "y")], EXACT, {"y": x.to(torch.bfloat16)}, {"x": x})
case("cast/there-and-back",
     [("cast", ["x"], {"dtype": "bf16"}, "half"), ("cast", ["half"], {"dtype": "f32"}, "y")], EXACT,
     {"y": x.to(torch.bfloat16).to(torch.float32)}, {"x": x})


write_cases("ops", "ops.py")
