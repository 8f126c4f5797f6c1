// What planners check, said once: input types against the signature in the op list, attributes within bounds,
// index values within range. The rules and words are those of packages/program/src/ops, because a program may
// also come from a file that no TypeScript has seen.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/op.h"

namespace emu {

// The sides that the letters of a signature stand for, and in `rest` the axes that `...` stood for.
struct BoundSides {
  int64_t letters[26] = {};
  Shape rest;

  int64_t operator[](char letter) const { return letters[letter - 'A']; }
};

// Binds input types to their signatures, one text per input in the form "weight f32|bf16[...,D]"; "bias?
// f32[D]" may be absent. Letters are capitals; one letter is one number and `...` the same axes wherever they
// occur. Also checks that the call makes `outputs` outputs. TENSOR_SHAPE_MISMATCH naming both inputs and both
// numbers.
Status BindInputs(const CallTypes& call, std::initializer_list<const char*> signatures, BoundSides* sides,
                  size_t outputs = 1);

// `front` followed by `last`; front has fewer than kMaxRank axes.
Shape WithLast(Shape front, int64_t last);
Shape WithSide(Shape shape, int axis, int64_t side);

// INVALID_OPTION `[op] name value is not needed`.
Status RefuseOption(const CallTypes& call, const char* name, const std::string& value,
                    const std::string& needed);
// An integer of at least `least`.
Status ReadInteger(const CallTypes& call, const char* name, int64_t least, int64_t* out);
// The attribute `shape`: at most kMaxRank sides of 0 or more, fewer than 2^46 elements.
Status ReadShape(const CallTypes& call, Shape* out);
// The attribute `epsilon`: a number of at least 0.
Status ReadEpsilon(const CallTypes& call, float* out);
// The attribute `axis`: one of the axes of `shape`, counted from the front.
Status ReadAxis(const CallTypes& call, const Shape& shape, int* out);

// INVALID_OPTION `[op] what value at row r is not in least..count-1` for the first index outside.
Status CheckIndices(const char* op, const char* what, const int32_t* values, int64_t rows, int64_t least,
                    int64_t count);

std::string ToText(const Shape& shape);

// Tasks of at least 64 KiB each over `rows` runs of `width` floats; none when there is nothing to do, however
// many empty rows there are.
RowSplit SplitFloats(int64_t rows, int64_t width, int threads);

}  // namespace emu
