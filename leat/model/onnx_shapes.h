// What a model file says of the shapes that its inputs may have, for who makes it ready for several
// (LoadOptions).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "leat/model/onnx_import.h"

namespace leat {

/// Makes the same model for other shapes of these inputs, in their order.
std::function<Result<Model>(std::span<const Shape> shapes)> specialiser(
    std::shared_ptr<const OnnxModel> file, ImportOptions known,
    const std::vector<ModelValue>& inputs);

/// Whether an extent that nobody has told is more than a number of pictures: those stand first, and
/// one is a good guess.
bool leaves_shapes_open(const OnnxModel& file, const ImportOptions& known);

/// What the model's inputs may be like when they are of these shapes: LoadOptions::foresee.
std::function<std::vector<std::vector<std::vector<Shape>>>(std::span<const Shape> shapes)>
foresight(std::shared_ptr<const OnnxModel> file, const std::vector<ModelValue>& inputs);

/// Shapes of all inputs where those of some are known: LoadOptions::first_shapes. Extents of one
/// name are alike; what is left open then is 0, as a cache is before its first token, or else 1, or
/// what another open extent is.
std::function<std::vector<std::vector<Shape>>(std::span<const std::optional<Shape>> shapes)>
first_shapes(std::shared_ptr<const OnnxModel> file, const std::vector<ModelValue>& inputs);

}  // namespace leat
