// The runs of a LoadedModel, of which one in parts (Model::rest) takes several networks: each part
// is made for what the one before has told, and kept for when that comes again.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "leat/run/session.h"

namespace leat {

Result<void> LoadedModel::check_whole(std::string_view what) const {
  if (!is_in_parts()) return {};
  return Error(
      ErrorKind::unsupported,
      fmt::format("Model \"{}\" cannot {}: sizes in it follow from values, so that it runs "
                  "part by part.",
                  model().name, what));
}

std::vector<Network*> LoadedModel::networks() const {
  std::vector<Network*> networks = {ready_.back().network.get()};
  for (const Part* part : ready_.back().last_run) networks.push_back(part->network.get());
  return networks;
}

/// Takes off what networks share: one has the arena of activations at a time.
static void count_once(std::span<Network* const> networks, NetworkStats& sum) {
  Network::SharedBytes weights;
  std::set<const Buffer*> arenas;
  uint64_t activations = 0, activations_most = 0;
  for (const Network* network : networks) {
    for (const auto& [place, size_bytes] : network->weights()) {
      if (weights.emplace(place, size_bytes).second) continue;
      sum.reserved_bytes -= size_bytes;
      sum.tensor_bytes -= size_bytes;
    }
    const Buffer& arena = network->activations();
    if (!arenas.insert(&arena).second) sum.reserved_bytes -= arena.size_bytes();
    const uint64_t needed = network->schedule().memory.lower_bound_bytes;
    activations += needed;
    activations_most = std::max(activations_most, needed);
  }
  sum.tensor_bytes -= activations - activations_most;
}

NetworkStats LoadedModel::stats() const {
  const std::vector<Network*> all = networks();
  NetworkStats sum;
  for (const Network* network : all) {
    const NetworkStats& own = network->stats();
    sum.launches += own.launches;
    sum.kernels += own.kernels;
    sum.compiled += own.compiled;
    sum.told += own.told;
    sum.compile_ms += own.compile_ms;
    for (size_t i = 0; i < own.copies.bytes.size(); ++i) sum.copies.bytes[i] += own.copies.bytes[i];
    sum.reserved_bytes += own.reserved_bytes;
    sum.repeated_runs += own.repeated_runs;
    sum.tensor_bytes += own.tensor_bytes;
    sum.products.all += own.products.all;
    sum.products.rounded += own.products.rounded;
  }
  count_once(all, sum);
  return sum;
}

Result<std::vector<HostTensor>> LoadedModel::run_network(Network& network, const Model& model,
                                                         std::span<const HostTensor> inputs) {
  const std::lock_guard lock(device_->mutex);
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!is_nothing(inputs[i])) TRY(network.set_input(i, inputs[i]));
  }
  TRY(network.run());
  if (network.has_times()) {
    TRY_ASSIGN(const SlotTimes own, network.slot_times(0));
    times_ = {times_ ? times_->begin_ns : own.begin_ns, own.end_ns};
  }
  std::vector<HostTensor> outputs;
  // A packed model has no graph.
  const size_t count = model.rest ? model.graph.outputs.size() : model.outputs.size();
  const std::vector<bool> stays = network.outputs_kept(count);
  for (size_t i = 0; i < count; ++i) {
    outputs.emplace_back();
    if (stays[i]) continue;
    TRY_ASSIGN(outputs.back(), network.output(i));
  }
  return outputs;
}

Result<SlotTimes> LoadedModel::slot_times(size_t slot) {
  const std::lock_guard lock(device_->mutex);
  if (!is_in_parts()) return network().slot_times(slot);
  if (times_ && slot == 0) return *times_;
  return Error(ErrorKind::invalid_argument,
               fmt::format("No run of model \"{}\" has finished in slot ({}); in parts, it runs in "
                           "slot (0) alone.",
                           model().name, slot));
}

/// That which was ready before, or else it is made; the last one of both lists then.
Result<const LoadedModel::Part*> LoadedModel::part_of(const NextPart& next) {
  std::vector<std::unique_ptr<Part>>& parts = ready_.back().parts;
  std::vector<const Part*>& used = ready_.back().last_run;
  const uint64_t previous = used.empty() ? 0 : used.back()->number;
  const auto known = std::ranges::find_if(
      parts, [&](const auto& part) { return part->previous == previous && part->key == next.key; });
  if (known != parts.end()) {
    std::rotate(known, known + 1, parts.end());
  } else {
    auto part = std::make_unique<Part>();
    part->number = ++ready_.back().parts_made;
    part->previous = previous;
    part->key = next.key;
    TRY_ASSIGN(part->model, next.make());
    Result<std::unique_ptr<Network>> network = make_network(part->model, {}, false);
    is_part_refused_ = !network && network.error().kind() == ErrorKind::unsupported;
    TRY_ASSIGN(part->network, std::move(network));
    parts.push_back(std::move(part));
  }
  used.push_back(parts.back().get());
  return used.back();
}

/// All but those of the last run, which stand at the end, and some before them. Not during a run,
/// which may come to those next.
void LoadedModel::forget_old_parts() {
  std::vector<std::unique_ptr<Part>>& parts = ready_.back().parts;
  const size_t kept = ready_.back().last_run.size() + kPartsReadyMax;
  if (parts.size() <= kept) return;
  const std::lock_guard lock(device_->mutex);
  parts.erase(parts.begin(), parts.end() - static_cast<std::ptrdiff_t>(kept));
}

void LoadedModel::Ready::forget_parts() {
  last_run.clear();
  parts.clear();
}

Result<std::vector<HostTensor>> LoadedModel::run_here(std::span<const HostTensor> inputs) {
  ready_.back().last_run.clear();
  is_part_refused_ = false;
  times_.reset();
  TRY_ASSIGN(std::vector<HostTensor> given, values_of_run(inputs));
  const size_t side = state_memory_.side();
  Result<std::vector<HostTensor>> first = run_network(network(), model(), given);
  // What a run leaves that has no results is no state.
  if (!first && state_memory_.side() != side) state_memory_.flip();
  TRY_ASSIGN(std::vector<HostTensor> values, std::move(first));
  for (const ModelRest* rest = &model().rest; *rest;) {
    TRY_ASSIGN(NextPart next, (*rest)(std::move(given), std::move(values)));
    TRY_ASSIGN(const Part* const part, part_of(next));
    given = std::move(next.inputs);
    TRY_ASSIGN(values, run_network(*part->network, part->model, given));
    rest = &part->model.rest;
  }
  keep_states(values);
  states_made_.reset();
  return values;
}

/// After a device has refused a part: where none of those behind it takes the model, it stays here.
Result<void> LoadedModel::find_taker(const Error& reason) {
  const std::string here = device().info().name;
  const Result<void> moved = move_on(reason);
  if (moved) return {};
  const bool is_here = device_ != nullptr && device().info().name == here;
  const Result<void> back = is_here ? Result<void>() : move_to(here);
  return back ? moved : back;
}

Result<std::vector<HostTensor>> LoadedModel::run(std::span<const HostTensor> inputs) {
  TRY(take_shapes_of(inputs));
  take_values(inputs);
  while (true) {
    Result<std::vector<HostTensor>> outputs = run_here(inputs);
    forget_old_parts();
    if (outputs) return outputs;
    if (is_part_refused_ && options_.device.empty()) {
      TRY(find_taker(outputs.error()));
    } else if (outputs.error().kind() == ErrorKind::device_lost) {
      TRY(give_way(outputs.error()));
      TRY(check_states_there());
    } else {
      return outputs;
    }
  }
}

}  // namespace leat
