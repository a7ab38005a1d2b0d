// The half of the spine that compiles. Read plan() and prepare() from top to bottom to see what
// happens to a graph.
#include <algorithm>
#include <chrono>

#include "leat/emit/emit.h"
#include "leat/lower/lower.h"
#include "leat/run/compile.h"
#include "leat/run/network.h"
#include "leat/run/plan_launches.h"
#include "leat/run/transfer.h"

namespace leat {

Result<std::unique_ptr<Network>> Network::load(Device& device, const Graph& graph,
                                               const NetworkOptions& options) {
  std::unique_ptr<Network> network(new Network(device, options));
  TRY(network->plan(graph));
  TRY(network->prepare());
  return network;
}

Result<std::unique_ptr<Network>> Network::load(Device& device, Schedule schedule,
                                               const NetworkOptions& options) {
  std::unique_ptr<Network> network(new Network(device, options));
  network->schedule_ = std::move(schedule);
  TRY(network->prepare());
  return network;
}

Result<void> Network::look_ahead(Device& device, const Graph& graph,
                                 const NetworkOptions& options) {
  Network network(device, options);
  TRY(network.plan(graph));
  const Schedule& schedule = network.schedule_;
  for (const Step& step : schedule.steps) {
    const std::string& name = schedule.graph.nodes[step.node].name;
    options.shape_kernels->remember(name, step.params, step_key(schedule, step));
  }
  return {};
}

Result<void> Network::plan(const Graph& graph) {
  ScheduleOptions plan = options_.schedule;
  if (options_.shape_kernels != nullptr) {
    plan.known_params = [&](const std::string& node) {
      return options_.shape_kernels->params_of(node);
    };
  }
  TRY_ASSIGN(schedule_, make_schedule(graph, device_.target(), plan));
  return {};
}

Result<void> Network::prepare() {
  TRY(allocate());
  TRY(place_weights());
  TRY(load_kernels());
  return record_all();
}

Result<void> Network::place_weights() {
  const Graph& graph = schedule_.graph;
  std::vector<ModelMemory::Wish> wishes;
  std::vector<TensorId> tensors;
  weights_.resize(graph.tensors.size());
  std::vector<bool> is_asked(graph.tensors.size(), false);
  for (const Step& step : schedule_.steps) {
    for (const TensorId id : graph.nodes[step.node].inputs) {
      const Placement& placement = schedule_.placements[id];
      if (placement.space != Space::weights || is_asked[id]) continue;
      is_asked[id] = true;
      const auto& constant = graph.tensors[id].constant;
      ModelMemory::Wish wish = {.constant = constant, .placement = placement, .order = {}};
      if (placement.packed) wish.order = packed_order(graph, step, constant->shape);
      wishes.push_back(std::move(wish));
      tensors.push_back(id);
    }
  }
  TRY_ASSIGN(ModelMemory::Placed placed, memory().place(device_, std::move(wishes)));
  for (size_t i = 0; i < tensors.size(); ++i) weights_[tensors[i]] = std::move(placed.places[i]);
  count_copy(CopyCause::weights, placed.written_bytes);
  stats_.reserved_bytes += placed.used_bytes;
  return {};
}

Result<void> Network::load_kernels() {
  const auto start = std::chrono::steady_clock::now();
  DistinctKernels distinct = distinct_kernels(schedule_);
  for (PlanLaunch& launch : distinct.launches) {  // one for each step
    const auto step = static_cast<uint32_t>(launches_.size());
    launches_.push_back(
        {launch.kernel, std::move(launch.arguments), std::move(launch.facts), step});
  }
  TRY(serve(distinct.first_steps));
  stats_.launches = static_cast<uint32_t>(launches_.size());
  stats_.kernels = static_cast<uint32_t>(served_.size());
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  stats_.compile_ms = took.count();
  return {};
}

/// A kernel for each of these steps: one that serves other shapes, too, or one to be made.
Result<void> Network::serve(std::span<const uint32_t> steps) {
  ShapeKernels* const shapes = options_.shape_kernels;
  if (shapes != nullptr) shapes->forget_idle();
  std::vector<StepKey> keys(steps.size());
  bool is_all_there = true;
  for (size_t i = 0; i < steps.size() && shapes != nullptr; ++i) {
    keys[i] = step_key(schedule_, schedule_.steps[steps[i]]);
    is_all_there = is_all_there && shapes->find(keys[i]);
  }
  if (shapes != nullptr && !is_all_there && options_.look_ahead) {
    remember(keys);
    options_.look_ahead();
  }
  std::vector<ShapeKernels::Opening> openings;
  std::vector<KernelWish> wishes;
  for (size_t i = 0; i < steps.size() && shapes != nullptr; ++i) {
    const Step& step = schedule_.steps[steps[i]];
    const auto serves = [&](const auto& opening) { return shapes->serves(opening, keys[i]); };
    if (shapes->find(keys[i]) || std::ranges::any_of(openings, serves)) {
      TRY(check_kernel(schedule_, step, device_.target()));
      continue;
    }
    auto opening = shapes->opened(schedule_, step, device_.target(), keys[i]);
    if (!opening) continue;
    wishes.push_back({steps[i], &opening->made->lowered});
    openings.push_back(std::move(*opening));
  }
  std::vector<size_t> own;  // of `steps`, which no other shape has
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto serves = [&](const auto& opening) { return shapes->serves(opening, keys[i]); };
    if (shapes != nullptr && (shapes->find(keys[i]) || std::ranges::any_of(openings, serves))) {
      continue;
    }
    own.push_back(i);
    wishes.push_back({steps[i]});
  }
  KernelCache cache(options_.cache_folder, emitter_version(device_.target()));
  TRY_ASSIGN(CompiledKernels compiled, compile_kernels(schedule_, wishes, device_, cache));
  stats_.compiled = compiled.compiled;
  for (size_t i = 0; i < openings.size(); ++i) {
    shapes->keep(std::move(openings[i]), std::move(compiled.kernels[i]));
  }
  std::vector<ShapeKernels::Told> told(steps.size());
  for (size_t i = 0; i < own.size(); ++i) {
    std::shared_ptr<const Kernel> kernel = std::move(compiled.kernels[openings.size() + i]);
    if (shapes != nullptr) shapes->keep(keys[own[i]], kernel);
    const uint32_t groups = kernel->grid()[0];
    told[own[i]] = {.kernel = std::move(kernel), .words = {}, .groups = groups};
  }
  for (size_t i = 0; i < steps.size(); ++i) {
    if (told[i].kernel == nullptr) told[i] = *shapes->find(keys[i]);
  }
  if (shapes != nullptr) remember(keys);
  return tell(told);
}

/// `keys` of those steps that have a kernel of their own.
void Network::remember(std::span<const StepKey> keys) {
  for (const Launch& launch : launches_) {
    const Step& step = schedule_.steps[launch.step];
    const std::string& name = schedule_.graph.nodes[step.node].name;
    options_.shape_kernels->remember(name, step.params, keys[launch.served]);
  }
}

/// Fills served_, and writes what kernels are told.
Result<void> Network::tell(std::span<const ShapeKernels::Told> told) {
  std::vector<std::byte> image;
  std::vector<size_t> offsets;
  for (const ShapeKernels::Told& one : told) {
    offsets.push_back(image.size());
    const auto bytes = std::as_bytes(std::span(one.words));
    image.insert(image.end(), bytes.begin(), bytes.end());
    image.resize((image.size() + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment);
  }
  if (!image.empty()) {
    TRY_ASSIGN(words_, device_.allocate(image.size(), MemoryKind::device));
    stats_.reserved_bytes += words_.size_bytes();
    TRY(write_buffer(device_, {&words_, 0, image.size()}, image));
  }
  for (size_t i = 0; i < told.size(); ++i) {
    Served served = {.kernel = told[i].kernel, .groups_x = told[i].groups, .words = {}};
    if (!told[i].words.empty()) {
      served.words = {&words_, offsets[i], told[i].words.size() * sizeof(int32_t)};
      ++stats_.told;
    }
    served_.push_back(served);
  }
  return {};
}

}  // namespace leat
