// `--shape [NAME=]1,3,48,320`: what extents are of which a model's file leaves the choice.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/tensor/model.h"

namespace leat::cli {

struct ShapeOptions {
  std::vector<std::string> given;
  bool trusts_kernels = false;
};

/// With add_trust_option.
void add_shape_option(CLI::App& command, ShapeOptions& options);

/// The model for these shapes; extents that are open all the same are 1.
/// Errors: those of OnnxModel; invalid_argument, for a shape that is none, and unknown names.
Result<Model> import_shaped(const std::string& path, const ShapeOptions& options);

}  // namespace leat::cli
