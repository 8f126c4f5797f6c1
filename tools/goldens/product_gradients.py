"""Makes testdata/ops/products.safetensors and products.json: tiny cases of matmul and of the gradients of
convolution with the answers of PyTorch.

    python tools/goldens/product_gradients.py [OUTPUT_DIRECTORY]

Inputs are drawn with a fixed seed; the files are byte for byte the same on every run.
"""

import torch
import torch.nn.functional as F

from op_cases import SUMMED, bf16, case, double, f32, write_cases

torch.manual_seed(20240522)


def rounded(x, precision):
    return double(x.to(torch.bfloat16) if precision == "bf16" else x)


def matmul_case(name, rows, inner, columns, transpose_a=False, transpose_b=False, precision="f32", kinds=(f32, f32)):
    a = kinds[0](*((inner, rows) if transpose_a else (rows, inner)))
    b = kinds[1](*((columns, inner) if transpose_b else (inner, columns)), spread=max(inner, 1) ** -0.5)
    left, right = rounded(a, precision), rounded(b, precision)
    y = (left.T if transpose_a else left) @ (right.T if transpose_b else right)
    attributes = {"transposeA": int(transpose_a), "transposeB": int(transpose_b), "precision": precision}
    case(f"matmul/{name}", [("matmul", ["a", "b"], attributes, "y")], SUMMED, {"y": y}, {"a": a, "b": b})


matmul_case("plain", 5, 17, 9)
matmul_case("transposed-b", 3, 33, 18, transpose_b=True)
matmul_case("transposed-a", 17, 20, 7, transpose_a=True)
matmul_case("both-transposed", 7, 9, 15, transpose_a=True, transpose_b=True)
matmul_case("bf16-precision", 6, 35, 17, transpose_b=True, precision="bf16")
matmul_case("bf16-precision-transposed-a", 9, 33, 8, transpose_a=True, precision="bf16")
matmul_case("bf16-factors", 4, 16, 5, precision="bf16", kinds=(bf16, bf16))
matmul_case("bf16-left-in-f32", 4, 16, 5, kinds=(bf16, f32))
matmul_case("bf16-right-in-f32", 4, 15, 5, kinds=(f32, bf16))
matmul_case("one-element", 1, 1, 1)
matmul_case("no-inner-side", 2, 0, 3)


def convolution_gradient_cases(name, picture, channels_out, kernel, stride, padding):
    batch, height, width, channels = picture
    top, bottom, left, right = padding
    sides = [batch, (height + top + bottom - kernel[0]) // stride + 1,
             (width + left + right - kernel[1]) // stride + 1, channels_out]
    steps = {"stride": stride, "padding": list(padding)}

    def gradients(x, weight, dy):
        x, weight = x.requires_grad_(), weight.requires_grad_()
        padded = F.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom))
        return torch.autograd.grad(F.conv2d(padded, weight, None, stride), (x, weight), dy.permute(0, 3, 1, 2))

    for precision, kind in (("f32", f32), ("bf16", bf16)):
        dy, weight = f32(*sides), kind(channels_out, channels, *kernel, spread=channels_out ** -0.5 / 3)
        dx, _ = gradients(torch.zeros(picture, dtype=torch.float64), double(weight), rounded(dy, precision))
        case(f"convolutionGradientInput/{name}-{precision}",
             [("convolutionGradientInput", ["dy", "weight"], {**steps, "height": height, "width": width}, "dx")],
             SUMMED, {"dx": dx.contiguous()}, {"dy": dy}, {"weight": weight})
        x, dy = f32(*picture), f32(*sides, spread=max(1, batch * sides[1] * sides[2]) ** -0.5)
        _, dw = gradients(rounded(x, precision),
                          torch.zeros(channels_out, channels, *kernel, dtype=torch.float64), rounded(dy, precision))
        attributes = {**steps, "kernelHeight": kernel[0], "kernelWidth": kernel[1], "precision": precision}
        case(f"convolutionGradientWeight/{name}-{precision}",
             [("convolutionGradientWeight", ["x", "dy"], attributes, "dw")],
             SUMMED, {"dw": dw.contiguous()}, {"x": x, "dy": dy})


convolution_gradient_cases("same", [2, 5, 6, 3], 9, (3, 3), 1, (1, 1, 1, 1))
convolution_gradient_cases("stride-2", [2, 7, 6, 4], 5, (3, 3), 2, (1, 1, 1, 1))
convolution_gradient_cases("stride-2-pads-at-the-end", [1, 6, 6, 5], 3, (3, 3), 2, (0, 1, 0, 1))
convolution_gradient_cases("pointwise", [1, 4, 5, 7], 6, (1, 1), 1, (0, 0, 0, 0))
convolution_gradient_cases("patches", [2, 8, 9, 3], 5, (4, 4), 4, (0, 0, 0, 0))
convolution_gradient_cases("uneven", [1, 4, 3, 2], 3, (2, 3), 3, (3, 0, 0, 2))


write_cases("products", "product_gradients.py")
