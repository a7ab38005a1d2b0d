// The states of a model as people name them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "leat/base/result.h"
#include "leat/run/state_memory.h"
#include "leat/tensor/model.h"

namespace leat {

/// "OUT=IN": output OUT of a run is input IN of the next one. One `*` on each side stands for the
/// same characters: "present.*=past.*" is all those pairs that the model has. Errors:
/// invalid_argument, for a text of another form, or one that nothing of the model fits.
Result<std::vector<StatePair>> match_states(std::span<const std::string> texts, const Model& model);

/// Whether an output, or a state that is not given, would have no elements after the first run
/// although all that is given has some: such a state stays empty, and the model can hardly mean
/// either. `given`: shapes of inputs that have a value.
bool leaves_nothing(const Model& model, std::span<const StatePair> states,
                    std::span<const std::optional<Shape>> given);

}  // namespace leat
