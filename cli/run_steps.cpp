// Runs of a model one after the other, between which values go from outputs to inputs.
#include <fmt/format.h>

#include <algorithm>

#include "cli/model_run.h"

namespace leat::cli {

namespace {

/// Extents that differ become -1, and all but the first become one where ranks differ.
Shape common_shape(const Shape& a, const Shape& b) {
  if (a.size() != b.size()) return {a[0], -1};
  Shape common = a;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i]) common[i] = -1;
  }
  return common;
}

/// Puts a value behind those of the `steps` before. What nobody wants may change its shape: then no
/// value is kept, and the shape tells.
Result<void> append(HostTensor& all, HostTensor value, size_t steps, const ModelValue& output,
                    bool is_wanted) {
  value.shape.insert(value.shape.begin(), 1);
  if (steps == 0) {
    all = std::move(value);
    return {};
  }
  value.shape[0] = all.shape[0];
  const bool fits = all.dtype == value.dtype && all.shape == value.shape;
  if (!fits && is_wanted) {
    const auto of_step = [](const HostTensor& tensor) {
      return to_string(Shape(tensor.shape.begin() + 1, tensor.shape.end()));
    };
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Output \"{}\" has shape {} in step ({}) and {} in those before, so "
                             "that they make no array.",
                             output.name, of_step(value), steps, of_step(all)));
  }
  if (fits) {
    all.bytes.insert(all.bytes.end(), value.bytes.begin(), value.bytes.end());
  } else {
    all.shape = common_shape(all.shape, value.shape);
    all.bytes.clear();
  }
  all.shape[0] = static_cast<int64_t>(steps) + 1;
  return {};
}

}  // namespace

Result<std::vector<HostTensor>> run_steps(LoadedModel& loaded, const RunSteps& steps) {
  std::vector<HostTensor> all(loaded.model().outputs.size());
  loaded.forget_states();
  for (size_t step = 0; step < steps.inputs.size(); ++step) {
    TRY_ASSIGN(std::vector<HostTensor> outputs, loaded.run(steps.inputs[step]));
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!steps.are_many) {
        all[i] = std::move(outputs[i]);
      } else if (!is_nothing(outputs[i])) {
        TRY(append(all[i], std::move(outputs[i]), step, loaded.model().outputs[i],
                   steps.wanted.contains(i)));
      }
    }
  }
  for (size_t s = 0; s < loaded.state_count(); ++s) {
    TRY_ASSIGN(all[loaded.state_pair(s).output], loaded.state(s));
  }
  return all;
}

}  // namespace leat::cli
