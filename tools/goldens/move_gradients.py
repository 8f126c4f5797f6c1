"""Makes testdata/ops/move-gradients.{safetensors,json}: gradients of ops that move rows, from PyTorch's autograd.

    python tools/goldens/move_gradients.py [OUTPUT_DIRECTORY]

The files are byte for byte the same on every run.
"""

import torch

from op_cases import EXACT, case, double, f32, i32, write_cases

torch.manual_seed(20240618)


def replaced(x, rows, target):
    """A copy of x with rows put in one after the other, so that a later one takes the place of an earlier."""
    y = list(x)
    for row, place in zip(rows, target.tolist()):
        if place >= 0:
            y[place] = row
    return torch.stack(y)


def replace_rows_gradient(name, height, width, target):
    target, dy = i32(target), f32(height, width)
    rows = double(f32(len(target), width)).requires_grad_()
    (found,) = torch.autograd.grad(replaced(double(f32(height, width)), rows, target), rows, double(dy),
                                   allow_unused=True, materialize_grads=True) if len(target) else (rows.detach(),)
    case(f"replaceRowsGradient/{name}", [("replaceRowsGradient", ["dy", "target"], {}, "drows")], EXACT,
         {"drows": found}, {"dy": dy, "target": target})


replace_rows_gradient("once", 6, 7, [4, 0, 5])
replace_rows_gradient("left-out", 4, 17, [-1, 2, -1])
replace_rows_gradient("twice", 5, 3, [1, 1, 4, 1, 4])
replace_rows_gradient("one-element", 1, 1, [0])

write_cases("move-gradients", "move_gradients.py")
