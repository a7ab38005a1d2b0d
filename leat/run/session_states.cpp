// What a LoadedModel carries from run to run: outputs that are inputs of the next one. Where the
// network keeps them they stay in the device's memory (state_memory.h); where it cannot (they lie
// differently, decide a shape, or the model runs in parts) they go by way of the host.
#include <fmt/format.h>

#include <algorithm>

#include "leat/run/session.h"
#include "leat/run/state_pairs.h"
#include "leat/run/transfer.h"

namespace leat {

namespace {

std::string text_of(const ModelValue& value) {
  return fmt::format("\"{}\" ({} {})", value.name, name_of(value.dtype), to_string(value.shape));
}

}  // namespace

Result<void> LoadedModel::check_states() const {
  const Model& own = model();
  for (size_t s = 0; s < states_.size(); ++s) {
    const StatePair& pair = states_[s].pair;
    if (pair.output >= own.outputs.size() || pair.input >= own.inputs.size()) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("A state of output ({}) and input ({}) is none of model \"{}\", "
                      "which has ({}) and ({}).",
                      pair.output, pair.input, own.name, own.outputs.size(), own.inputs.size()));
    }
    const ModelValue& output = own.outputs[pair.output];
    const ModelValue& input = own.inputs[pair.input];
    const bool has_ranks = output.shape != Shape{-1} && input.shape != Shape{-1};
    if (output.dtype != input.dtype || (has_ranks && output.shape.size() != input.shape.size())) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Output {} cannot be the state of input {}.", text_of(output),
                               text_of(input)));
    }
    for (size_t other = 0; other < s; ++other) {
      const StatePair& before = states_[other].pair;
      if (before.output != pair.output && before.input != pair.input) continue;
      const std::string& name = before.input == pair.input ? input.name : output.name;
      return Error(ErrorKind::invalid_argument, fmt::format("\"{}\" is in two states.", name));
    }
  }
  return {};
}

LoadedModel::State* LoadedModel::state_of_input(size_t input) {
  const auto found =
      std::ranges::find_if(states_, [&](const State& state) { return state.pair.input == input; });
  return found == states_.end() ? nullptr : &*found;
}

/// The model becomes ready for the values' shapes and, where there is none, the state's.
Result<void> LoadedModel::take_shapes_of(std::span<const HostTensor> inputs) {
  if (inputs.size() != model().inputs.size()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Number of inputs ({}) is not the model's ({}).", inputs.size(),
                             model().inputs.size()));
  }
  std::vector<std::optional<Shape>> shapes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    State* const state = state_of_input(i);
    const bool is_missing = is_nothing(inputs[i]);
    if (is_missing && state == nullptr) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Input \"{}\" has no value.", model().inputs[i].name));
    }
    if (is_missing && state->is_lost) return check_states_there();
    if (state != nullptr && !is_missing && inputs[i].dtype != model().inputs[i].dtype) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("Input {} takes something else than {} {}.", text_of(model().inputs[i]),
                      name_of(inputs[i].dtype), to_string(inputs[i].shape)));
    }
    if (!is_nothing(inputs[i])) {
      shapes.emplace_back(inputs[i].shape);
    } else if (state != nullptr && state->is_set) {
      shapes.emplace_back(state->shape);
    } else {
      shapes.emplace_back();
    }
  }
  if (std::ranges::any_of(shapes, [](const auto& shape) { return !shape; })) {
    TRY(take_missing_shapes(shapes));
  } else {
    std::vector<Shape> known;
    for (const std::optional<Shape>& shape : shapes) known.push_back(*shape);
    TRY(take_shapes(known));
  }
  return {};
}

/// What is given for a state is its value from now on.
void LoadedModel::take_values(std::span<const HostTensor> inputs) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    State* const state = state_of_input(i);
    if (state == nullptr || is_nothing(inputs[i])) continue;
    *state = {.pair = state->pair, .is_set = true, .shape = inputs[i].shape, .value = inputs[i]};
  }
}

/// States that have no value yet are zeros, of the first shapes that the model can have.
Result<void> LoadedModel::take_missing_shapes(std::span<const std::optional<Shape>> shapes) {
  ShapeSets sets;
  if (options_.first_shapes) {
    sets = options_.first_shapes(shapes);
  } else {
    sets.emplace_back();
    for (size_t i = 0; i < shapes.size(); ++i) {
      sets[0].push_back(shapes[i].value_or(model().inputs[i].shape));
    }
  }
  std::optional<Error> first;
  std::optional<size_t> best;
  for (size_t i = 0; i < sets.size(); ++i) {
    const Result<void> taken = take_shapes(sets[i]);
    if (!taken && !first) first = taken.error();
    if (!taken) continue;
    const bool is_good = !leaves_nothing(model(), options_.states, shapes);
    if (is_good || !best) best = i;
    if (is_good) break;
  }
  if (!best) return *first;  // what is said is what the best ones failed by
  TRY(take_shapes(sets[*best]));
  for (State& state : states_) {
    if (shapes[state.pair.input]) continue;
    const ModelValue& input = model().inputs[state.pair.input];
    state = {.pair = state.pair,
             .is_set = true,
             .shape = input.shape,
             .value = HostTensor::zeros(input.dtype, input.shape)};
  }
  return {};
}

/// What the network is given: nothing for a state that lies where it reads it.
Result<std::vector<HostTensor>> LoadedModel::values_of_run(std::span<const HostTensor> inputs) {
  TRY(wait_for_states());
  std::vector<HostTensor> values(inputs.begin(), inputs.end());
  for (size_t s = 0; s < states_.size(); ++s) {
    State& state = states_[s];
    HostTensor& value = values[state.pair.input];
    value = {};
    if (state.is_on_device && network().keeps_state(s)) continue;
    if (state.is_on_device) {
      const std::lock_guard lock(device_->mutex);
      TRY_ASSIGN(state.value, read_state(state, s));
      state.is_on_device = false;
    }
    value = state.value;
  }
  return values;
}

/// For the end of the last start(), which writes them.
Result<void> LoadedModel::wait_for_states() {
  if (!states_made_) return {};
  TRY_ASSIGN(const bool done,
             states_made_->fence->wait(states_made_->value, hang_timeout_ns(device())));
  if (done) return {};
  return Error(ErrorKind::device_lost,
               fmt::format("A run of model \"{}\" that writes its states did not come to its end.",
                           model().name));
}

/// For a run that is started on what lies in place.
Result<void> LoadedModel::place_states() {
  TRY(check_states_there());
  for (size_t s = 0; s < states_.size(); ++s) {
    State& state = states_[s];
    const ModelValue& input = model().inputs[state.pair.input];
    if (!network().keeps_state(s)) {
      return Error(ErrorKind::unsupported,
                   fmt::format("The state of input \"{}\" is not kept on Device \"{}\": the model "
                               "cannot be started on what lies in place.",
                               input.name, device().info().name));
    }
    if (!state.is_set) {
      state.is_set = true;
      state.shape = input.shape;
      state.value = HostTensor::zeros(input.dtype, input.shape);
    }
    if (state.shape != input.shape) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("The state of input \"{}\" is {} now; the model is ready for {}.",
                               input.name, to_string(state.shape), to_string(input.shape)));
    }
    if (state.is_on_device) continue;
    TRY(network().set_input(state.pair.input, state.value));
    state.is_on_device = true;
    state.storage = network().input_view(state.pair.input).storage;
  }
  return {};
}

/// After a run, or a start: what it leaves is what the next one reads. Outputs that went by way of
/// the host become nothing.
void LoadedModel::keep_states(std::span<HostTensor> outputs) {
  for (size_t s = 0; s < states_.size(); ++s) {
    State& state = states_[s];
    state.is_on_device = network().keeps_state(s);
    if (state.is_on_device) {
      state.shape = model().outputs[state.pair.output].shape;
      state.storage = network().output_view(state.pair.output).storage;
      state.value = {};
    } else {
      state.value = std::exchange(outputs[state.pair.output], {});
      state.shape = state.value.shape;
    }
  }
}

Result<HostTensor> LoadedModel::read_state(const State& state, size_t number) {
  const DType dtype = model().inputs[state.pair.input].dtype;
  const size_t size_bytes = static_cast<size_t>(element_count(state.shape)) *
                            static_cast<size_t>(size_bytes_of(state.storage));
  std::vector<std::byte> bytes(size_bytes);
  const Buffer& buffer = *state_memory_.sides(number)[state_memory_.side()];
  TRY(read_buffer(device(), {&buffer, 0, size_bytes}, bytes));
  return from_storage(bytes, state.storage, dtype, state.shape);
}

/// Before the device's memory goes. What cannot be read is lost, and so is what comes after, as a
/// device that hangs would be waited for each time.
void LoadedModel::rescue_states() {
  if (device_ == nullptr) return;
  const std::lock_guard lock(device_->mutex);
  bool is_there = !states_made_ || states_made_->reached();
  for (size_t s = 0; s < states_.size(); ++s) {
    State& state = states_[s];
    if (!state.is_on_device) continue;
    state.is_on_device = false;
    state.is_lost = true;
    if (!is_there) continue;
    Result<HostTensor> value = read_state(state, s);
    is_there = value.has_value();
    if (!is_there) continue;
    state.value = std::move(*value);
    state.is_lost = false;
  }
  states_made_.reset();
}

/// Errors: device_lost, when a state was lost with a device.
Result<void> LoadedModel::check_states_there() const {
  const auto lost = std::ranges::find_if(states_, &State::is_lost);
  if (lost == states_.end()) return {};
  return Error(ErrorKind::device_lost,
               fmt::format("The state of input \"{}\" was lost with its device: give it a value, "
                           "or forget the states.",
                           model().inputs[lost->pair.input].name));
}

Result<HostTensor> LoadedModel::state(size_t number) {
  CHECK(number < states_.size());
  const State& state = states_[number];
  TRY(check_states_there());
  if (!state.is_set) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The state of input \"{}\" has no value before the first run.",
                             model().inputs[state.pair.input].name));
  }
  if (!state.is_on_device) return state.value;
  TRY(wait_for_states());
  const std::lock_guard lock(device_->mutex);
  return read_state(state, number);
}

Result<void> LoadedModel::set_state(size_t number, HostTensor value) {
  CHECK(number < states_.size());
  State& state = states_[number];
  const ModelValue& input = model().inputs[state.pair.input];
  if (is_nothing(value) || value.dtype != input.dtype || value.shape.size() != input.shape.size()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Input {} takes something else than {} {}.", text_of(input),
                             name_of(value.dtype), to_string(value.shape)));
  }
  TRY(wait_for_states());
  state = {.pair = state.pair, .is_set = true, .shape = value.shape, .value = std::move(value)};
  return {};
}

void LoadedModel::forget_states() {
  for (State& state : states_) state = {.pair = state.pair};
}

}  // namespace leat
