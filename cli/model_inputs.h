// A model made for the files that its inputs are given: their shapes, and where the model lets
// them decide something, their values.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "cli/model_files.h"
#include "leat/base/result.h"
#include "leat/run/state_memory.h"

namespace leat::cli {

struct FedModel {
  Model model;
  PictureNumbers numbers;
  std::vector<HostTensor> inputs;  // one per Model::inputs; of a state, it may be nothing
  std::vector<std::string> paths;  // of the files
};

/// A model that is run several times, one after the other, on values that differ or that go from
/// run to run.
struct FedSteps {
  FedModel fed;                                // for the first step
  std::vector<std::vector<HostTensor>> steps;  // inputs of each; nothing for a state that goes on
  std::vector<StatePair> states;
  /// For other shapes: LoadOptions.
  std::function<Result<Model>(std::span<const Shape> shapes)> specialise;
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

/// `states` as match_states takes them; what they name needs no file: it is zeros before the first
/// step. With `in_steps` an array of one axis more than its input has a value for each step along
/// the first; others are the same in all. Errors: as above; invalid_argument, when there is no
/// such array, or two of different length.
Result<FedSteps> feed_steps(const std::string& path, const std::vector<std::string>& inputs,
                            const std::vector<std::string>& states, bool in_steps,
                            const PictureOptions& picture, const FeedOptions& options);

}  // namespace leat::cli
