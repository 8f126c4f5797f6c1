"""PyTorch as a peer: reads a case per line as JSON, answers with its best seconds.

Eager mode, as its users run it; channels-last convolutions, scaled_dot_product_attention, no gradients.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def best_seconds(work, least=3, most=40, budget=4.0):
    work()
    best = float("inf")
    start = time.perf_counter()
    for run in range(most):
        before = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - before)
        if run + 1 >= least and time.perf_counter() - start > budget:
            break
    return best


def random(*shape, dtype):
    return (torch.randn(*shape) * 0.02).to(dtype)


def linear(sizes, dtype):
    x = random(sizes["rows"], sizes["inputs"], dtype=dtype)
    weight = random(sizes["outputs"], sizes["inputs"], dtype=dtype)
    return lambda: F.linear(x, weight)


def attention(sizes, dtype):
    shape = (1, sizes["heads"], sizes["length"], sizes["headWidth"])
    q, k, v = (random(*shape, dtype=dtype) for _ in range(3))
    causal = bool(sizes["causal"])
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=causal)


def convolution(sizes, dtype):
    side = sizes["side"]
    x = random(sizes["batch"], sizes["inputs"], side, side, dtype=dtype)
    x = x.to(memory_format=torch.channels_last)
    layer = torch.nn.Conv2d(sizes["inputs"], sizes["outputs"], 3, padding=1)
    layer = layer.to(dtype).to(memory_format=torch.channels_last)
    return lambda: layer(x)


class VisionBlock(torch.nn.Module):
    def __init__(self, width, heads, mlp_width):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.qkv, self.proj = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
        self.fc1, self.fc2 = torch.nn.Linear(width, mlp_width), torch.nn.Linear(mlp_width, width)

    def forward(self, x):
        batch, tokens, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
        x = x + self.proj(mixed)
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


def vision(sizes, dtype):
    width, patch = sizes["width"], sizes["patchSize"]
    tokens = (sizes["imageSize"] // patch) ** 2 + 1
    embed = torch.nn.Conv2d(3, width, patch, stride=patch).to(dtype)
    blocks = torch.nn.Sequential(
        *(VisionBlock(width, sizes["heads"], sizes["mlpWidth"]).to(dtype) for _ in range(sizes["layers"]))
    )
    token, position = random(1, 1, width, dtype=dtype), random(1, tokens, width, dtype=dtype)
    pixels = random(1, 3, sizes["imageSize"], sizes["imageSize"], dtype=dtype)
    return lambda: blocks(torch.cat([token, embed(pixels).flatten(2).transpose(1, 2)], 1) + position)


def rms_norm(x, weight):
    wide = x.float()
    return weight * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype)


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def decoder(sizes, dtype):
    """One LLaMA layer: `rows` new positions behind `context` cached ones."""
    rows, context, width, heads = (sizes[name] for name in ("rows", "context", "width", "heads"))
    wide = sizes["feedForwardWidth"]
    head = width // heads
    wq, wk, wv, wo = (random(width, width, dtype=dtype) for _ in range(4))
    gate, up = random(wide, width, dtype=dtype), random(wide, width, dtype=dtype)
    down = random(width, wide, dtype=dtype)
    norm1, norm2 = torch.ones(width, dtype=dtype), torch.ones(width, dtype=dtype)
    keys, values = (random(1, heads, context + rows, head, dtype=dtype) for _ in range(2))
    angles = torch.arange(context, context + rows)[:, None] * 10000.0 ** (-torch.arange(0, head, 2) / head)
    angles = torch.cat([angles, angles], -1)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    x = random(1, rows, width, dtype=dtype)

    def split(y):
        return y.view(1, rows, heads, head).transpose(1, 2)

    def step():
        h = rms_norm(x, norm1)
        q = rotate(split(F.linear(h, wq)), cos, sin)
        keys[:, :, context:] = rotate(split(F.linear(h, wk)), cos, sin)
        values[:, :, context:] = split(F.linear(h, wv))
        mixed = F.scaled_dot_product_attention(q, keys, values, is_causal=rows > 1)
        y = x + F.linear(mixed.transpose(1, 2).reshape(1, rows, width), wo)
        h = rms_norm(y, norm2)
        return y + F.linear(F.silu(F.linear(h, gate)) * F.linear(h, up), down)

    return step


class Residual(torch.nn.Module):
    """`time_width` 0: without a time embedding."""

    def __init__(self, inputs, outputs, time_width, groups=32):
        super().__init__()
        self.norm1, self.norm2 = torch.nn.GroupNorm(groups, inputs), torch.nn.GroupNorm(groups, outputs)
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = torch.nn.Linear(time_width, outputs) if time_width > 0 else None
        self.shortcut = torch.nn.Conv2d(inputs, outputs, 1) if inputs != outputs else torch.nn.Identity()

    def forward(self, x, time_embedding=None):
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time is not None:
            h = h + self.time(F.silu(time_embedding))[:, :, None, None]
        return self.shortcut(x) + self.conv2(F.silu(self.norm2(h)))


class CrossAttention(torch.nn.Module):
    def __init__(self, width, context_width, heads=8):
        super().__init__()
        self.heads = heads
        self.q, self.o = torch.nn.Linear(width, width, bias=False), torch.nn.Linear(width, width)
        self.k = torch.nn.Linear(context_width, width, bias=False)
        self.v = torch.nn.Linear(context_width, width, bias=False)

    def forward(self, x, context):
        q, k, v = (y.view(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2) for y in (self.q(x), self.k(context), self.v(context)))
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape))


class Spatial(torch.nn.Module):
    def __init__(self, width, context_width, heads=8, groups=32):
        super().__init__()
        self.norm = torch.nn.GroupNorm(groups, width)
        self.proj_in, self.proj_out = torch.nn.Conv2d(width, width, 1), torch.nn.Conv2d(width, width, 1)
        self.norms = torch.nn.ModuleList(torch.nn.LayerNorm(width) for _ in range(3))
        self.self_attention = CrossAttention(width, width, heads)
        self.cross_attention = CrossAttention(width, context_width, heads)
        self.fc1, self.fc2 = torch.nn.Linear(width, 8 * width), torch.nn.Linear(4 * width, width)

    def forward(self, picture, context):
        batch, width, height, side = picture.shape
        x = self.proj_in(self.norm(picture)).permute(0, 2, 3, 1).reshape(batch, height * side, width)
        h = self.norms[0](x)
        x = x + self.self_attention(h, h)
        x = x + self.cross_attention(self.norms[1](x), context)
        value, gate = self.fc1(self.norms[2](x)).chunk(2, -1)
        x = x + self.fc2(value * F.gelu(gate))
        return picture + self.proj_out(x.view(batch, height, side, width).permute(0, 3, 1, 2))


class UNet(torch.nn.Module):
    """The network of Stable Diffusion 1.5, with a context of another width."""

    def __init__(self, context_width):
        super().__init__()
        channels, time_width = [320, 640, 1280, 1280], 1280
        self.time1, self.time2 = torch.nn.Linear(320, time_width), torch.nn.Linear(time_width, time_width)
        self.conv_in, self.conv_out = torch.nn.Conv2d(4, 320, 3, padding=1), torch.nn.Conv2d(320, 4, 3, padding=1)
        self.norm_out = torch.nn.GroupNorm(32, 320)
        self.down, self.up = torch.nn.ModuleList(), torch.nn.ModuleList()
        skips, width = [320], 320
        for level, out in enumerate(channels):
            for _ in range(2):
                attention = Spatial(out, context_width) if level < 3 else None
                self.down.append(torch.nn.ModuleList([Residual(width, out, time_width)] + ([attention] if attention else [])))
                width = out
                skips.append(out)
            if level < 3:
                self.down.append(torch.nn.ModuleList([torch.nn.Conv2d(out, out, 3, stride=2, padding=1)]))
                skips.append(out)
        self.middle = torch.nn.ModuleList([Residual(1280, 1280, time_width), Spatial(1280, context_width), Residual(1280, 1280, time_width)])
        for level, out in reversed(list(enumerate(channels))):
            for index in range(3):
                parts = [Residual(width + skips.pop(), out, time_width)]
                if level < 3:
                    parts.append(Spatial(out, context_width))
                if index == 2 and level > 0:
                    parts.append(torch.nn.Conv2d(out, out, 3, padding=1))
                self.up.append(torch.nn.ModuleList(parts))
                width = out

    def forward(self, x, time_features, context):
        time_embedding = self.time2(F.silu(self.time1(time_features)))
        x = self.conv_in(x)
        skips = [x]
        for parts in self.down:
            x = self.run(parts, x, time_embedding, context)
            skips.append(x)
        x = self.run(self.middle, x, time_embedding, context)
        for parts in self.up:
            x = self.run(parts, torch.cat([x, skips.pop()], 1), time_embedding, context, upsample=True)
        return self.conv_out(F.silu(self.norm_out(x)))

    @staticmethod
    def run(parts, x, time_embedding, context, upsample=False):
        for part in parts:
            if isinstance(part, Residual):
                x = part(x, time_embedding)
            elif isinstance(part, Spatial):
                x = part(x, context)
            else:
                x = part(F.interpolate(x, scale_factor=2.0, mode="nearest") if upsample else x)
        return x


def unet(sizes, dtype):
    model = UNet(sizes["crossWidth"]).to(dtype).to(memory_format=torch.channels_last)
    batch, side = sizes["batch"], sizes["side"]
    sample = random(batch, 4, side, side, dtype=dtype).to(memory_format=torch.channels_last)
    time_features = random(batch, 320, dtype=dtype)
    context = random(batch, sizes["tokens"], sizes["crossWidth"], dtype=dtype)
    return lambda: model(sample, time_features, context)


KINDS = {f.__name__: f for f in (linear, attention, convolution, vision, decoder, unet)}


def main():
    torch.set_num_threads(int(sys.argv[1]))
    torch.set_grad_enabled(False)
    print(json.dumps({"version": torch.__version__}), flush=True)
    for line in sys.stdin:
        case = json.loads(line)
        try:
            work = KINDS[case["kind"]](case["sizes"], DTYPES[case["dtype"]])
            print(json.dumps({"seconds": best_seconds(work)}), flush=True)
        except Exception as error:  # the other side prints it and stops
            print(json.dumps({"error": repr(error)}), flush=True)


if __name__ == "__main__":
    main()
