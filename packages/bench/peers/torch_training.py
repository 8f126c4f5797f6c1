"""PyTorch's training steps as a peer: reads a case per line as JSON, answers with its best step.

Eager mode: autograd, scaled_dot_product_attention, channels-last convolutions, torch.optim.AdamW. With bf16 the weights
are f32 and the products run under autocast, as our trainer has it. A process serves one case, so that its memory can be
told; the first question builds the model and makes one step more.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

from torch_peer import Residual, Spatial


class LlamaLayer(torch.nn.Module):
    def __init__(self, sizes):
        super().__init__()
        width, wide = sizes["width"], sizes["feedForwardWidth"]
        self.heads, self.epsilon = sizes["heads"], sizes["epsilon"]
        self.norm1, self.norm2 = (torch.nn.RMSNorm(width, eps=self.epsilon) for _ in range(2))
        self.q, self.k, self.v, self.o = (torch.nn.Linear(width, width, bias=False) for _ in range(4))
        self.gate, self.up = (torch.nn.Linear(width, wide, bias=False) for _ in range(2))
        self.down = torch.nn.Linear(wide, width, bias=False)

    def forward(self, x, cos, sin):
        def split(y):
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        def rotate(y):
            a, b = y.chunk(2, -1)
            return torch.cat([a * cos - b * sin, b * cos + a * sin], -1).to(y.dtype)

        h = self.norm1(x)
        q, k, v = rotate(split(self.q(h))), rotate(split(self.k(h))), split(self.v(h))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(torch.nn.Module):
    def __init__(self, sizes):
        super().__init__()
        width, vocabulary = sizes["width"], sizes["vocabulary"]
        self.embeddings = torch.nn.Embedding(vocabulary, width)
        self.layers = torch.nn.ModuleList(LlamaLayer(sizes) for _ in range(sizes["layers"]))
        self.norm = torch.nn.RMSNorm(width, eps=sizes["epsilon"])
        self.head = torch.nn.Linear(width, vocabulary, bias=False)
        head = width // sizes["heads"]
        angle = torch.arange(sizes["length"])[:, None] * sizes["ropeTheta"] ** (-torch.arange(0, head, 2) / head)
        self.cos, self.sin = angle.cos(), angle.sin()

    def forward(self, ids):
        x = self.embeddings(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return self.head(self.norm(x))


def llama(sizes):
    model = Llama(sizes)
    ids, target = torch.randint(sizes["vocabulary"], (2, sizes["rows"], sizes["length"]))
    return model, lambda: F.cross_entropy(model(ids).flatten(0, 1).float(), target.flatten())


class Places(torch.nn.Module):
    """One-head attention over all places, of the autoencoder's middle."""

    def __init__(self, width, groups):
        super().__init__()
        self.norm = torch.nn.GroupNorm(groups, width)
        self.q, self.k, self.v, self.o = (torch.nn.Linear(width, width) for _ in range(4))

    def forward(self, picture):
        x = self.norm(picture).permute(0, 2, 3, 1).flatten(1, 2)
        q, k, v = (part(x)[:, None] for part in (self.q, self.k, self.v))
        mixed = self.o(F.scaled_dot_product_attention(q, k, v)[:, 0])
        return picture + mixed.transpose(1, 2).reshape(picture.shape)


class Resample(torch.nn.Module):
    def __init__(self, width, up, padding=1):
        super().__init__()
        self.up, self.padding = up, padding
        self.conv = torch.nn.Conv2d(width, width, 3, stride=1 if up else 2, padding=1 if up else padding)

    def forward(self, x):
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        elif self.padding == 0:
            x = F.pad(x, (0, 1, 0, 1))
        return self.conv(x)


def half_vae(sizes, inputs, outputs, channels, blocks, up):
    """Encoder or decoder: `channels` in the order in which they are passed."""
    groups = sizes["groups"]

    def residual(width, out):
        return Residual(width, out, 0, groups)

    def middle(width):
        return [residual(width, width), Places(width, groups), residual(width, width)]

    parts = [torch.nn.Conv2d(inputs, channels[0], 3, padding=1)] + (middle(channels[0]) if up else [])
    width = channels[0]
    for level, out in enumerate(channels):
        for _ in range(blocks):
            parts.append(residual(width, out))
            width = out
        if level + 1 < len(channels):
            parts.append(Resample(out, up, padding=0))
    parts += [] if up else middle(width)
    parts += [torch.nn.GroupNorm(groups, width), torch.nn.SiLU(), torch.nn.Conv2d(width, outputs, 3, padding=1)]
    return torch.nn.Sequential(*parts)


class Vae(torch.nn.Module):
    def __init__(self, sizes):
        super().__init__()
        channels, latent, blocks = sizes["blockChannels"], sizes["latentChannels"], sizes["layersPerBlock"]
        self.encoder = half_vae(sizes, sizes["inChannels"], 2 * latent, channels, blocks, up=False)
        self.to_moments = torch.nn.Conv2d(2 * latent, 2 * latent, 1)
        self.from_latents = torch.nn.Conv2d(latent, latent, 1)
        self.decoder = half_vae(sizes, latent, sizes["outChannels"], channels[::-1], blocks + 1, up=True)


def vae(sizes):
    model = Vae(sizes).to(memory_format=torch.channels_last)
    batch, side = sizes["batch"], sizes["side"]
    image = torch.randn(batch, sizes["inChannels"], side, side).to(memory_format=torch.channels_last)
    latent = side // 2 ** (len(sizes["blockChannels"]) - 1)
    noise = torch.randn(batch, sizes["latentChannels"], latent, latent).to(memory_format=torch.channels_last)

    def loss():
        mean, log_variance = model.to_moments(model.encoder(image)).chunk(2, 1)
        deviation = (0.5 * log_variance).exp()
        difference = model.decoder(model.from_latents(mean + deviation * noise)) - image
        divergence = 0.5 * (mean.pow(2) + deviation.pow(2) - 1 - log_variance).mean()
        return (sizes["l1Weight"] * difference.abs().mean() + sizes["l2Weight"] * difference.pow(2).mean()
                + sizes["klWeight"] * divergence)

    return model, loss


class UNet(torch.nn.Module):
    """Stable Diffusion's network at other sizes."""

    def __init__(self, sizes):
        super().__init__()
        channels, layers, groups = sizes["blockChannels"], sizes["layersPerBlock"], sizes["groups"]
        finest, time_width = channels[0], 4 * channels[0]
        self.time1, self.time2 = torch.nn.Linear(finest, time_width), torch.nn.Linear(time_width, time_width)
        self.conv_in = torch.nn.Conv2d(sizes["inChannels"], finest, 3, padding=1)
        self.norm_out = torch.nn.GroupNorm(groups, finest)
        self.conv_out = torch.nn.Conv2d(finest, sizes["outChannels"], 3, padding=1)

        def spatial(level):
            return Spatial(channels[level], sizes["crossAttentionWidth"], sizes["heads"][level], groups)

        def residual(inputs, outputs):
            return Residual(inputs, outputs, time_width, groups)

        self.down, self.up = torch.nn.ModuleList(), torch.nn.ModuleList()
        skips, width = [finest], finest
        for level, out in enumerate(channels):
            for _ in range(layers):
                attends = sizes["downBlocks"][level].startswith("CrossAttn")
                self.down.append(torch.nn.ModuleList([residual(width, out)] + ([spatial(level)] if attends else [])))
                width = out
                skips.append(out)
            if level + 1 < len(channels):
                self.down.append(torch.nn.ModuleList([Resample(out, up=False)]))
                skips.append(out)
        last = len(channels) - 1
        self.middle = torch.nn.ModuleList([residual(width, width), spatial(last), residual(width, width)])
        for step, level in enumerate(range(last, -1, -1)):
            for index in range(layers + 1):
                parts = [residual(width + skips.pop(), channels[level])]
                if sizes["upBlocks"][step].startswith("CrossAttn"):
                    parts.append(spatial(level))
                if index == layers and level > 0:
                    parts.append(Resample(channels[level], up=True))
                self.up.append(torch.nn.ModuleList(parts))
                width = channels[level]

    def forward(self, x, time_features, context):
        time_embedding = self.time2(F.silu(self.time1(time_features)))

        def through(parts, x):
            for part in parts:
                if isinstance(part, Residual):
                    x = part(x, time_embedding)
                else:
                    x = part(x, context) if isinstance(part, Spatial) else part(x)
            return x

        x = self.conv_in(x)
        skips = [x]
        for parts in self.down:
            x = through(parts, x)
            skips.append(x)
        x = through(self.middle, x)
        for parts in self.up:
            x = through(parts, torch.cat([x, skips.pop()], 1))
        return self.conv_out(F.silu(self.norm_out(x)))


def unet(sizes):
    model = UNet(sizes).to(memory_format=torch.channels_last)
    batch, side = sizes["batch"], sizes["sampleSize"]
    sample, noise = (torch.randn(batch, sizes["inChannels"], side, side).to(memory_format=torch.channels_last)
                     for _ in range(2))
    time_features = torch.randn(batch, sizes["blockChannels"][0])
    context = torch.randn(batch, sizes["tokens"], sizes["crossAttentionWidth"])
    return model, lambda: F.mse_loss(model(sample, time_features, context).float(), noise)


KINDS = {f.__name__: f for f in (llama, vae, unet)}


def step_of(case):
    model, loss = KINDS[case["kind"]](case["sizes"])
    parameters = list(model.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.05)

    def step():
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=case["dtype"] == "bf16"):
            value = loss()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step, sum(parameter.numel() for parameter in parameters)


def peak_bytes():
    try:
        with open("/proc/self/status") as status:
            return next(1024 * int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        return None


def main():
    torch.set_num_threads(int(sys.argv[1]))
    print(json.dumps({"version": torch.__version__}), flush=True)
    before, step, parameters = peak_bytes(), None, 0
    for line in sys.stdin:
        case = json.loads(line)
        try:
            if step is None:
                step, parameters = step_of(case)
                step()
            seconds = processor = float("inf")
            for _ in range(case["steps"]):
                start, used = time.perf_counter(), time.process_time()
                step()
                seconds = min(seconds, time.perf_counter() - start)
                processor = min(processor, time.process_time() - used)
            peak = peak_bytes()
            print(json.dumps({"seconds": seconds, "processorSeconds": processor, "parameters": parameters,
                              "bytes": None if peak is None else peak - before}), flush=True)
        except Exception as error:  # the other side prints it and goes on without a peer
            print(json.dumps({"error": repr(error)}), flush=True)


if __name__ == "__main__":
    main()
