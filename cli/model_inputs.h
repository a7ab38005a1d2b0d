// A model made for the files that its inputs are given: their shapes, and where the model lets
// them decide something, their values.
#pragma once

#include <string>
#include <vector>

#include "cli/model_files.h"
#include "leat/base/result.h"

namespace leat::cli {

struct FedModel {
  Model model;
  PictureNumbers numbers;
  std::vector<HostTensor> inputs;  // one per Model::inputs
  std::vector<std::string> paths;  // of the files
};

/// Those of ImportOptions.
struct FeedOptions {
  bool in_parts = false;
  bool trusts_kernels = false;
};

/// `inputs` are FILE or NAME=FILE. Errors: those of reading the model and its files;
/// invalid_argument, when an input without a default gets none.
Result<FedModel> feed_model(const std::string& path, const std::vector<std::string>& inputs,
                            const PictureOptions& picture, const FeedOptions& options);

}  // namespace leat::cli
