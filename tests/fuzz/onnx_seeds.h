// The models that the fuzzer starts from: together they hold every kind of parameter that the
// import reads (attributes of all types, shapes as inputs, constants, several outputs).
#pragma once

#include <vector>

#include "leat/model/onnx_builder.h"

namespace leat {

std::vector<OnnxBuilder> fuzz_seeds();

}  // namespace leat
