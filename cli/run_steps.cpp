// Runs of a model one after the other, between which values go from outputs to inputs.
#include <fmt/format.h>

#include <algorithm>

#include "cli/model_run.h"

namespace leat::cli {

namespace {

/// Puts a value behind those of the steps before; where shapes differ and nobody wants one array,
/// the last value stays alone.
Result<void> append(HostTensor& all, HostTensor value, const ModelValue& output, bool is_wanted) {
  if (is_nothing(all)) {
    all = {value.dtype, value.shape, {}};
    all.shape.insert(all.shape.begin(), 0);
  }
  const bool is_alone = all.shape.size() != value.shape.size() + 1;
  const bool fits = !is_alone && std::ranges::equal(std::span(all.shape).subspan(1), value.shape);
  if (!fits && is_wanted) {
    return Error(
        ErrorKind::invalid_argument,
        fmt::format("Output \"{}\" has shape {} in a step and {} in the first one, so that "
                    "they make no array.",
                    output.name, to_string(value.shape),
                    to_string(Shape(all.shape.begin() + 1, all.shape.end()))));
  }
  if (!fits) {
    all = std::move(value);
    return {};
  }
  ++all.shape[0];
  all.bytes.insert(all.bytes.end(), value.bytes.begin(), value.bytes.end());
  return {};
}

}  // namespace

Result<std::vector<HostTensor>> run_steps(LoadedModel& loaded, const RunSteps& steps) {
  std::vector<HostTensor> all(loaded.model().outputs.size());
  loaded.forget_states();
  for (const std::vector<HostTensor>& inputs : steps.inputs) {
    TRY_ASSIGN(std::vector<HostTensor> outputs, loaded.run(inputs));
    for (size_t i = 0; i < outputs.size(); ++i) {
      if (!steps.are_many) {
        all[i] = std::move(outputs[i]);
      } else if (!is_nothing(outputs[i])) {
        TRY(append(all[i], std::move(outputs[i]), loaded.model().outputs[i],
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
