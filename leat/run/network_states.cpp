// What of a network lives from run to run (state_memory.h): which outputs and inputs can, and where
// they lie.
#include <algorithm>

#include "leat/run/network.h"

namespace leat {

Result<void> Network::allocate_states() {
  const Graph& graph = schedule_.graph;
  for (size_t s = 0; s < options_.states.size(); ++s) {
    const StatePair& pair = options_.states[s];
    State state = {.input = graph.inputs[pair.input], .output = graph.outputs[pair.output]};
    state.is_kept = can_keep(state);
    if (state.is_kept) {
      const size_t size_bytes = std::max(bytes_of(state.input), bytes_of(state.output));
      TRY(options_.state_memory->reserve(device_, s, size_bytes));
      stats_.tensor_bytes += bytes_of(state.input) + bytes_of(state.output);
      stats_.reserved_bytes += 2 * options_.state_memory->sides(s)[0]->size_bytes();
    }
    has_states_ |= state.is_kept;
    states_.push_back(std::move(state));
  }
  take_sides();
  return {};
}

/// What leaves the one and enters the other lies alike, and each is nothing else.
bool Network::can_keep(const State& state) const {
  const Graph& graph = schedule_.graph;
  const Placement& input = schedule_.placements[state.input];
  const Placement& output = schedule_.placements[state.output];
  const auto is_own = [&](TensorId id, const Placement& placement) {
    const size_t count = static_cast<size_t>(std::ranges::count(graph.inputs, id) +
                                             std::ranges::count(graph.outputs, id));
    return placement.space == Space::external && count == 1 && !placement.is_in_words() &&
           placement.strides == row_major_strides(graph.tensors[id].shape);
  };
  return is_own(state.input, input) && is_own(state.output, output) &&
         input.storage == output.storage &&
         graph.tensors[state.input].dtype == graph.tensors[state.output].dtype;
}

/// What lists are recorded for, which lives as long as they.
void Network::take_sides() {
  if (!has_states_) return;
  for (size_t s = 0; s < states_.size(); ++s) {
    if (states_[s].is_kept) states_[s].sides = options_.state_memory->sides(s);
  }
  states_version_ = options_.state_memory->version();
}

const Network::State* Network::state_of(TensorId id) const {
  const auto found = std::ranges::find_if(states_, [&](const State& state) {
    return state.is_kept && (state.input == id || state.output == id);
  });
  return found == states_.end() ? nullptr : &*found;
}

void Network::hold_states(bool held) {
  if (held == holds_states_) return;
  holds_states_ = held;
  if (has_states_ && has_started_) options_.state_memory->flip();
}

std::vector<bool> Network::outputs_kept(size_t count) const {
  std::vector<bool> kept(count, false);
  for (size_t s = 0; s < states_.size(); ++s) {
    if (states_[s].is_kept) kept[options_.states[s].output] = true;
  }
  return kept;
}

/// As they are now: another network of the model may have grown them since lists were recorded.
const StateMemory::Sides& Network::sides_of(const State& state) const {
  return options_.state_memory->sides(static_cast<size_t>(&state - states_.data()));
}

/// Where the value lies between runs.
const Buffer& Network::external_buffer(TensorId id, size_t slot) const {
  const State* const state = state_of(id);
  if (state == nullptr) return slots_[slot].externals[id];
  return *sides_of(*state)[options_.state_memory->side()];
}

}  // namespace leat
