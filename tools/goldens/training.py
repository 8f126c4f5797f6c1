"""Makes testdata/ops/training.safetensors and training.json: tiny cases of the optimizer, of losses and of elementwise
gradients with the answers of PyTorch (of the published algorithm for dropout, whose bits PyTorch does not give).

    python tools/goldens/training.py [OUTPUT_DIRECTORY]

Inputs are drawn with a fixed seed; the files are byte for byte the same on every run.
"""

import math

import torch
import torch.nn.functional as F

from op_cases import EXACT, ONE_ROUNDING, SUMMED, TRANSCENDENTAL, activated, case, double, f32, i32, write_cases

torch.manual_seed(20240525)

for shape, target in (([3, 17], [17]), ([3, 17], [3, 1]), ([2, 3, 5], [3, 1]), ([2, 3, 5], [1, 5]), ([4, 9], []),
                      ([2, 3, 4, 5], [2, 1, 4, 1]), ([7], [7]), ([0, 3], [3]), ([2, 600, 3], [2, 1, 3])):
    x = f32(*shape)
    label = f"{'x'.join(map(str, shape))}-to-{'x'.join(map(str, target)) or 'scalar'}"
    case(f"sumTo/{label}", [("sumTo", ["x"], {"shape": target}, "y")], SUMMED,
         {"y": double(x).sum_to_size(target)}, {"x": x})

for shape, value in (([2, 3], 0), ([17], -0.1), ([], 3)):
    label = f"{'x'.join(map(str, shape)) or 'scalar'}"
    y = torch.full(shape, value, dtype=torch.float32)
    # A program of no inputs at all prints and runs, too.
    case(f"fill/{label}", [("fill", [], {"shape": shape, "value": value}, "y")], EXACT, {"y": y})

for kind in ("none", "gelu", "quickGelu", "relu", "silu"):
    x, dy = f32(3, 11, spread=3), f32(3, 11)
    x[0, 0] = 0
    leaf = double(x).requires_grad_()
    dx, = torch.autograd.grad(activated(kind, leaf), leaf, double(dy))
    case(f"activationGradient/{kind}", [("activationGradient", ["x", "dy"], {"activation": kind}, "dx")],
         TRANSCENDENTAL, {"dx": dx}, {"x": x, "dy": dy})
    gate, up, dy = f32(2, 17, spread=2), f32(2, 17), f32(2, 17)
    leaves = double(gate).requires_grad_(), double(up).requires_grad_()
    dgate, dup = torch.autograd.grad(activated(kind, leaves[0]) * leaves[1], leaves, double(dy))
    case(f"gatedActivationGradient/{kind}",
         [("gatedActivationGradient", ["gate", "up", "dy"], {"activation": kind}, ["dgate", "dup"])],
         {**TRANSCENDENTAL, "absolute": 2e-6, "relative": 1e-6}, {"dgate": dgate, "dup": dup},
         {"gate": gate, "up": up, "dy": dy})

x, position = f32(5, 2, 8), i32([0, 1, 7, 300, 2047])
theta = 10000
frequency = torch.tensor([theta ** (-2 * i / 8) for i in range(4)], dtype=torch.float64).to(torch.float32)
angle = position.to(torch.float32)[:, None] * frequency
cosine, sine = (double(t(double(angle)).to(torch.float32))[:, None] for t in (torch.cos, torch.sin))
first, second = double(x)[..., :4], double(x)[..., 4:]
y = torch.cat([first * cosine + second * sine, second * cosine - first * sine], -1)
case("rotaryEmbedding/inverse", [("rotaryEmbedding", ["x", "position"], {"theta": theta, "inverse": 1}, "y")],
     {**ONE_ROUNDING, "absolute": 5e-7}, {"y": y}, {"x": x, "position": position})

for small, big in (((2, 3), (4, 6)), ((2, 3), (5, 7)), ((4, 4), (3, 2)), ((1, 1), (3, 5))):
    leaf = torch.zeros(2, 3, *small, dtype=torch.float64).requires_grad_()
    dy = f32(2, *big, 3)
    dx, = torch.autograd.grad(F.interpolate(leaf, big, mode="nearest"), leaf, double(dy).permute(0, 3, 1, 2))
    case(f"upsampleNearestGradient/{small[0]}x{small[1]}-{big[0]}x{big[1]}",
         [("upsampleNearestGradient", ["dy"], {"height": small[0], "width": small[1]}, "dx")], SUMMED,
         {"dx": dx.permute(0, 2, 3, 1).contiguous()}, {"dy": dy})

x = f32(3, 5)
case("stopGradient/view", [("stopGradient", ["x"], {}, "y")], EXACT, {"y": x}, {"x": x})


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        low, high = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [high >> 32 ^ c[1] ^ k[0], high & 0xFFFFFFFF, low >> 32 ^ c[3] ^ k[1], low & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


for rate, stream, key in ((0.1, 0, (1, 0)), (0.5, 7, (-5, 2 ** 31 - 1)), (0, 3, (0, 0))):
    x = f32(5, 27)
    words = [word for block in range(34) for word in philox((block, 0, stream, 0), [k & 0xFFFFFFFF for k in key])]
    kept = torch.tensor([word >= math.floor(rate * 2 ** 32) for word in words[:135]]).reshape(5, 27)
    factor = double(torch.tensor(1 / (1 - rate), dtype=torch.float64).to(torch.float32))
    case(f"dropout/{rate}", [("dropout", ["x", "key"], {"rate": rate, "stream": stream}, "y")], EXACT,
         {"y": double(x) * factor * kept}, {"x": x, "key": i32(key)})

x = f32(3, 9, spread=3)
case("exponential/odd", [("exponential", ["x"], {}, "y")], TRANSCENDENTAL, {"y": double(x).exp()}, {"x": x})

for rows, width in ((3, 17), (1, 1), (0, 4)):
    p, t = f32(rows, width), f32(rows, width)
    case(f"squaredError/{rows}x{width}", [("squaredError", ["prediction", "target"], {}, "y")], SUMMED,
         {"y": F.mse_loss(double(p), double(t), reduction="none").mean(-1)}, {"prediction": p, "target": t})

rows, index = f32(6, 7), i32([3, 0, -1, 3, 3, 0])
y = torch.zeros(5, 7, dtype=torch.float64).index_add(0, index.clamp(0), double(rows) * (index >= 0)[:, None])
case("scatterAddRows/some-twice", [("scatterAddRows", ["rows", "index"], {"count": 5}, "y")], SUMMED, {"y": y},
     {"rows": rows, "index": index})

for keep, factor in ((1, 1), (0.99, 0.01), (0, -2)):
    old, x = f32(3, 7), f32(3, 7)
    case(f"accumulate/{keep}-{factor}",
         [("accumulate", ["state", "old"], {"keep": 0, "factor": 1}, "before"),
          ("accumulate", ["state", "x"], {"keep": keep, "factor": factor}, "after")], ONE_ROUNDING,
         {"state": keep * double(old) + factor * double(x)}, {"old": old, "x": x}, states={"state": ("f32", [3, 7])})

for shape in ([3, 17], [1], [0]):
    x = f32(*shape)
    case(f"sumOfSquares/{'x'.join(map(str, shape))}", [("sumOfSquares", ["x"], {}, "y")], SUMMED,
         {"y": double(x).square().sum().reshape(1)}, {"x": x})


def rounded(value):
    return double(torch.tensor(value, dtype=torch.float64).to(torch.float32)).item()


def adamw_case(name, steps, rate, betas, decay, scale=1.0):
    """Steps of torch.optim.AdamW in double precision, with the numbers of `hyper` rounded to f32 as the op gets them."""
    shape = [3, 11]
    parameter, gradients = f32(*shape, spread=0.3), [f32(*shape, spread=0.1) for _ in range(steps)]
    rate, decay, epsilon, scale = rounded(rate), rounded(decay), rounded(1e-8), rounded(scale)
    betas = tuple(map(rounded, betas))
    leaf = torch.nn.Parameter(double(parameter))
    optimizer = torch.optim.AdamW([leaf], lr=rate, betas=betas, eps=epsilon, weight_decay=decay, foreach=False)
    inputs = {"initial": parameter}
    calls = [("accumulate", ["parameter", "initial"], {"keep": 0, "factor": 1}, "start")]
    for step, gradient in enumerate(gradients, 1):
        leaf.grad = double(gradient) * scale
        optimizer.step()
        hyper = [rate, *betas, epsilon, decay, 1 - betas[0] ** step, 1 - betas[1] ** step, scale]
        inputs |= {f"gradient{step}": gradient, f"hyper{step}": torch.tensor(hyper, dtype=torch.float32)}
        calls.append(("adamw", ["parameter", "moment1", "moment2", f"gradient{step}", f"hyper{step}"], {}, f"p{step}"))
    state = optimizer.state[leaf]
    case(f"adamw/{name}", calls, {"absolute": 2e-7, "relative": 5e-7, "reason": "moments are rounded to f32 each step"},
         {"parameter": leaf.detach(), "moment1": state["exp_avg"], "moment2": state["exp_avg_sq"]}, inputs,
         states={key: ("f32", shape) for key in ("parameter", "moment1", "moment2")})


adamw_case("first-step", 1, 1e-3, (0.9, 0.999), 0.01)
adamw_case("two-steps", 2, 1e-2, (0.9, 0.98), 0.05, scale=0.25)
adamw_case("no-decay", 2, 3e-4, (0.3, 0.95), 0)

old, a, b = f32(5, 7), f32(11, 5), f32(11, 7)
case("accumulateMatmul/weight-gradient",
     [("accumulate", ["state", "old"], {"keep": 0, "factor": 1}, "before"),
      ("accumulateMatmul", ["state", "a", "b"], {"transposeA": 1, "transposeB": 0, "precision": "f32"}, "after")],
     SUMMED, {"state": double(old) + double(a).T @ double(b)}, {"old": old, "a": a, "b": b},
     states={"state": ("f32", [5, 7])})

old, x, weight, dy = f32(9, 6), f32(5, 6), f32(9, 6), f32(5)
target = i32([8, -100, 0, 3, 3])
leaves = double(x).requires_grad_(), double(weight).requires_grad_()
losses = F.cross_entropy(leaves[0] @ leaves[1].T, target.long(), ignore_index=-100, reduction="none")
dx, dweight = torch.autograd.grad(losses, leaves, double(dy))
case("linearCrossEntropyWithGradients/ignored",
     [("accumulate", ["state", "old"], {"keep": 0, "factor": 1}, "before"),
      ("linearCrossEntropyWithGradients", ["state", "x", "weight", "target", "dy"], {"precision": "f32"},
       ["after", "losses", "dx"])],
     SUMMED, {"state": double(old) + dweight, "losses": losses.detach(), "dx": dx},
     {"old": old, "x": x, "weight": weight, "target": target, "dy": dy}, states={"state": ("f32", [9, 6])})

write_cases("training", "training.py")
