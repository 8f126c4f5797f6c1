"""Makes testdata/gradients/networks.safetensors: small networks of each kind that Emu is made of, their losses and
the gradients of all their parameters, from PyTorch's autograd in double precision.

    python tools/goldens/network_gradients.py [OUTPUT_DIRECTORY]

packages/program/src/testing/networks.ts writes the same networks with our ops. Of each tensor `NETWORK/NAME` is a
parameter or an input, `NETWORK/=loss` the loss and `NETWORK/=gradient.NAME` a gradient. The file is byte for byte the
same on every run.
"""

import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

from op_cases import write_safetensors

torch.manual_seed(20240621)
stored = {}


class Network:
    """Draws the tensors of one network; those of `p` are differentiated."""

    def __init__(self, name):
        self.name = name
        self.parameters = {}

    def keep(self, name, tensor):
        stored[f"{self.name}/{name}"] = tensor
        return tensor.double() if tensor.is_floating_point() else tensor.long()

    def x(self, name, *shape):
        return self.keep(name, torch.randn(*shape))

    def indices(self, name, values):
        return self.keep(name, torch.tensor(values, dtype=torch.int32))

    def p(self, name, *shape, spread=None):
        deviation = spread or (math.prod(shape[1:]) ** -0.5 if len(shape) > 1 else 0.5)
        values = torch.randn(*shape) * deviation
        self.parameters[name] = self.keep(name, values).requires_grad_()
        return self.parameters[name]

    def linear(self, name, x, outputs, bias=True):
        weight = self.p(f"{name}.weight", outputs, x.shape[-1])
        return F.linear(x, weight, self.p(f"{name}.bias", outputs) if bias else None)

    def convolution(self, name, x, outputs, side, stride=1, padding=(0, 0, 0, 0)):
        """x is channels last; padding is top, bottom, left, right."""
        weight = self.p(f"{name}.weight", outputs, x.shape[-1], side, side)
        top, bottom, left, right = padding
        padded = F.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom))
        y = F.conv2d(padded, weight, self.p(f"{name}.bias", outputs), stride=stride)
        return y.permute(0, 2, 3, 1)

    def layer_norm(self, name, x):
        width = x.shape[-1]
        return F.layer_norm(x, [width], self.p(f"{name}.weight", width), self.p(f"{name}.bias", width), eps=1e-6)

    def rms_norm(self, name, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.p(f"{name}.weight", x.shape[-1])

    def group_norm(self, name, x, groups=2):
        width = x.shape[-1]
        weight, bias = self.p(f"{name}.weight", width), self.p(f"{name}.bias", width)
        return F.group_norm(x.permute(0, 3, 1, 2), groups, weight, bias, eps=1e-5).permute(0, 2, 3, 1)

    def finish(self, loss):
        stored[f"{self.name}/=loss"] = loss.detach().reshape(1).float()
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        for name, gradient in zip(self.parameters, gradients):
            stored[f"{self.name}/=gradient.{name}"] = gradient.float()


def attend(q, k, v, scale, mask=0.0):
    """q [B,T,H,K], k and v [B,S,H,K]."""
    scores = torch.einsum("bthk,bshk->bhts", q, k) * scale + mask
    return torch.einsum("bhts,bshk->bthk", torch.softmax(scores, -1), v)


def heads(x, count):
    return x.reshape(*x.shape[:-1], count, x.shape[-1] // count)


def vision_transformer():
    n = Network("vision-transformer")
    picture, target = n.x("picture", 2, 4, 6, 3), n.x("target", 2, 7, 16)
    patches = n.convolution("patch", picture, 16, 2, stride=2).reshape(2, 6, 16)
    x = torch.cat([n.p("class", 1, 1, 16).expand(2, 1, 16), patches], 1) + n.p("positions", 1, 7, 16)
    normal = n.layer_norm("norm1", x)
    q, k, v = (heads(part, 2) for part in n.linear("qkv", normal, 48).chunk(3, -1))
    x = x + n.linear("attention", attend(q, k, v, 8**-0.5).flatten(2), 16)
    hidden = F.gelu(n.linear("up", n.layer_norm("norm2", x), 24))
    x = x + n.linear("down", hidden, 16)
    n.finish(((x - target) ** 2).mean())


def position_bias_transformer():
    """T5: causal self-attention with relative positions, cross-attention, no biases, no scale."""
    n = Network("position-bias-transformer")
    x, memory, target = n.x("queries", 2, 5, 12), n.x("memory", 2, 4, 20), n.x("target", 2, 5, 12)
    buckets = n.indices("buckets", [[min(max(t - s, 0), 3) for s in range(5)] for t in range(5)])
    bias = n.p("positions", 4, 3)[buckets].permute(2, 0, 1)
    causal = torch.full((5, 5), -math.inf, dtype=torch.float64).triu(1)
    normal = n.rms_norm("norm1", x)
    q, k, v = (heads(n.linear(name, normal, 12, bias=False), 3) for name in ("q", "k", "v"))
    x = x + n.linear("o", attend(q, k, v, 1.0, bias + causal).flatten(2), 12, bias=False)
    q = heads(n.linear("cross.q", n.rms_norm("norm2", x), 12, bias=False), 3)
    k, v = (heads(n.linear(name, memory, 12, bias=False), 3) for name in ("cross.k", "cross.v"))
    x = x + n.linear("cross.o", attend(q, k, v, 1.0).flatten(2), 12, bias=False)
    hidden = torch.relu(n.linear("up", n.rms_norm("norm3", x), 24, bias=False))
    x = n.rms_norm("norm4", x + n.linear("down", hidden, 12, bias=False))
    n.finish(((x - target) ** 2).mean())


def rotated(x, position):
    """Halves layout; x [R,H,K]."""
    half = x.shape[-1] // 2
    frequency = (torch.tensor(100.0) ** (-2 * torch.arange(half) / x.shape[-1])).float()
    angle = (position.float()[:, None] * frequency)[:, None].double()
    first, second = x[..., :half], x[..., half:]
    cosine, sine = angle.cos().float().double(), angle.sin().float().double()
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], -1)


def language_model():
    """LLaMA over two rows of packed documents, pictures in their places, tied table, text and visual losses."""
    n = Network("language-model")
    rows, length, width, vocabulary = 2, 6, 16, 9
    ids = n.indices("ids", [1, 4, 2, 7, 0, 3, 8, 8, 5, 1, 2, 6])
    position = n.indices("position", [0, 1, 2, 3, 0, 1, 0, 1, 0, 1, 2, 3])
    first_key = n.indices("firstKey", [[0, 0, 0, 0, 4, 4], [0, 0, 2, 2, 2, 2]])
    text_target = n.indices("textTarget", [4, 2, -100, -100, 3, -100, 8, -100, 1, 2, 6, -100])
    picture_rows = n.indices("pictureRows", [2, 3, 11])
    before_pictures = n.indices("rowsBeforePictures", [1, 2, 10])
    pictures = n.x("pictures", 3, 10)
    table = n.p("table", vocabulary, width)
    x = table[ids].index_copy(0, picture_rows, n.linear("project", pictures, width))
    see = torch.arange(length) <= torch.arange(length)[:, None]
    see = see[None] & (torch.arange(length)[None, None] >= first_key[..., None])
    mask = torch.zeros(see.shape, dtype=torch.float64).masked_fill(~see, -math.inf)[:, None]
    for layer in range(2):
        def named(name):
            return f"{layer}.{name}"
        normal = n.rms_norm(named("norm1"), x)
        q, k, v = (n.linear(named(name), normal, width, bias=False).reshape(-1, 2, 8) for name in ("q", "k", "v"))
        q, k, v = (part.reshape(rows, length, 2, 8) for part in (rotated(q, position), rotated(k, position), v))
        x = x + n.linear(named("o"), attend(q, k, v, 8**-0.5, mask).reshape(-1, width), width, bias=False)
        normal = n.rms_norm(named("norm2"), x)
        gate, up = (n.linear(named(name), normal, 24, bias=False) for name in ("gate", "up"))
        x = x + n.linear(named("down"), F.silu(gate) * up, width, bias=False)
    x = n.rms_norm("norm", x)
    text = F.cross_entropy(x @ table.T, text_target, ignore_index=-100, reduction="sum") / 7
    regressed = n.linear("regress", x[before_pictures], 10)
    n.finish(text + ((regressed - pictures) ** 2).mean())


def residual_block(n, name, x, time, outputs):
    h = n.convolution(f"{name}.conv1", F.silu(n.group_norm(f"{name}.norm1", x)), outputs, 3, padding=(1,) * 4)
    if time is not None:
        h = h + n.linear(f"{name}.time", time, outputs)[:, None, None]
    h = n.convolution(f"{name}.conv2", F.silu(n.group_norm(f"{name}.norm2", h)), outputs, 3, padding=(1,) * 4)
    return h + (x if x.shape[-1] == outputs else n.convolution(f"{name}.shortcut", x, outputs, 1))


def spatial_transformer(n, name, x, condition):
    batch, height, width, channels = x.shape
    h = n.convolution(f"{name}.in", n.group_norm(f"{name}.norm", x), channels, 1).reshape(batch, -1, channels)
    for kind in ("self", "cross"):
        normal = n.layer_norm(f"{name}.{kind}.norm", h)
        source = normal if kind == "self" else condition
        q = heads(n.linear(f"{name}.{kind}.q", normal, channels, bias=False), 2)
        k, v = (heads(n.linear(f"{name}.{kind}.{part}", source, channels, bias=False), 2) for part in "kv")
        scale = (channels // 2) ** -0.5
        h = h + n.linear(f"{name}.{kind}.o", attend(q, k, v, scale).flatten(2), channels)
    up, gate = n.linear(f"{name}.wide", n.layer_norm(f"{name}.norm3", h), 24).chunk(2, -1)
    h = h + n.linear(f"{name}.narrow", up * F.gelu(gate), channels)
    return x + n.convolution(f"{name}.out", h.reshape(batch, height, width, channels), channels, 1)


def upsampled(x):
    return x.repeat_interleave(2, 1).repeat_interleave(2, 2)


def unet():
    n = Network("unet")
    latents, features, condition = n.x("latents", 2, 4, 4, 2), n.x("time", 2, 6), n.x("condition", 2, 3, 10)
    noise = n.x("noise", 2, 4, 4, 2)
    time = F.silu(n.linear("time2", F.silu(n.linear("time1", features, 8)), 8))
    skip = n.convolution("in", latents, 8, 3, padding=(1,) * 4)
    x = n.convolution("down", residual_block(n, "block1", skip, time, 8), 8, 3, stride=2, padding=(1,) * 4)
    x = spatial_transformer(n, "attention", residual_block(n, "block2", x, time, 12), condition)
    x = n.convolution("up", upsampled(x), 12, 3, padding=(1,) * 4)
    x = residual_block(n, "block3", torch.cat([x, skip], -1), time, 8)
    x = n.convolution("out", F.silu(n.group_norm("norm", x)), 2, 3, padding=(1,) * 4)
    n.finish(((x - noise) ** 2).mean())


def autoencoder():
    n = Network("autoencoder")
    picture, noise = n.x("picture", 2, 4, 6, 3), n.x("noise", 2, 2, 3, 2)
    x = n.convolution("encode.in", picture, 8, 3, padding=(1,) * 4)
    x = n.convolution("encode.down", residual_block(n, "encode.block", x, None, 8), 8, 3, 2, padding=(0, 1, 0, 1))
    normal = n.group_norm("encode.norm", x).reshape(2, -1, 8)
    q, k, v = (heads(n.linear(f"encode.{name}", normal, 8), 1) for name in "qkv")
    x = x + n.linear("encode.o", attend(q, k, v, 8**-0.5).flatten(2), 8).reshape(x.shape)
    mean, log_variance = n.convolution("encode.moments", x, 4, 1).chunk(2, -1)
    z = mean + torch.exp(0.5 * log_variance) * noise
    x = n.convolution("decode.in", z, 8, 3, padding=(1,) * 4)
    x = n.convolution("decode.up", upsampled(x), 8, 3, padding=(1,) * 4)
    x = n.convolution("decode.out", residual_block(n, "decode.block", x, None, 4), 3, 3, padding=(1,) * 4)
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum()
    n.finish(((x - picture) ** 2).mean() + 0.01 * divergence)


vision_transformer()
position_bias_transformer()
language_model()
unet()
autoencoder()

folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "testdata" / "gradients")
folder.mkdir(parents=True, exist_ok=True)
write_safetensors(folder / "networks.safetensors", stored)
print(f"{len(stored)} tensors")
