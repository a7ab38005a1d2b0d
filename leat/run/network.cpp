// The spine. Read plan() and prepare() from top to bottom to see what happens to a graph, run() to
// see what happens to a tensor.
#include "leat/run/network.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <unordered_map>

#include "leat/emit/emit.h"
#include "leat/lower/lower.h"
#include "leat/run/compile.h"
#include "leat/run/transfer.h"
#include "leat/schedule/kernel_key.h"

namespace leat {

namespace {

double ms_since(std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
  return passed.count();
}

/// A ticket or receipt, with the rest of its cache line.
constexpr size_t kReceiptBytes = 64;

size_t at_least_one(size_t size_bytes) { return std::max<size_t>(size_bytes, kBufferAlignment); }

}  // namespace

Network::Network(Device& device, const NetworkOptions& options)
    : device_(device),
      options_(options),
      cache_(options.cache_folder, emitter_version(device.target())) {}

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
  CHECK(options_.slots >= 1 && options_.slots <= kSlotsMax);
  TRY(allocate());
  TRY(place_weights());
  TRY(load_kernels());
  for (size_t slot = 0; slot < slots_.size(); ++slot) TRY(record(slot, 1));
  return {};
}

size_t Network::bytes_of(TensorId tensor) const {
  return schedule_.placements[tensor].size_bytes();
}

Result<void> Network::allocate() {
  const MemoryPlan& plan = schedule_.memory;
  TRY_ASSIGN(activations_, memory().arena(device_, at_least_one(plan.activations_bytes)));
  stats_.reserved_bytes = activations_->size_bytes();
  stats_.tensor_bytes = plan.weights_bytes + plan.lower_bound_bytes + plan.state_bytes;
  if (plan.state_bytes > 0) {
    TRY_ASSIGN(state_, device_.allocate(plan.state_bytes, MemoryKind::device));
    stats_.reserved_bytes += state_.size_bytes();
    const std::vector<std::byte> zeros(plan.state_bytes);
    TRY(write_buffer(device_, {&state_, 0, zeros.size()}, zeros));
  }
  slots_.resize(options_.slots);
  for (Slot& slot : slots_) TRY(allocate_slot(slot));
  return {};
}

Result<void> Network::allocate_slot(Slot& slot) {
  slot.externals.resize(schedule_.placements.size());
  for (TensorId id = 0; id < schedule_.placements.size(); ++id) {
    if (schedule_.placements[id].space != Space::external) continue;
    TRY_ASSIGN(slot.externals[id], allocate_external(id));
    stats_.reserved_bytes += slot.externals[id].size_bytes();
    stats_.tensor_bytes += bytes_of(id);
  }
  if (!options_.receipts) return {};
  TRY_ASSIGN(slot.receipt, device_.allocate(2 * kReceiptBytes, MemoryKind::shared));
  std::memset(slot.receipt.host_pointer(), 0, 2 * kReceiptBytes);
  stats_.reserved_bytes += 2 * kReceiptBytes;
  return {};
}

// An input that the host writes straight into the device's own memory crosses the bus once; read by
// a kernel from the host's memory it may cross it as often as it is read.
Result<Buffer> Network::allocate_external(TensorId id) {
  const bool is_input = std::ranges::count(schedule_.graph.inputs, id) > 0;
  const bool is_output = std::ranges::count(schedule_.graph.outputs, id) > 0;
  const size_t size_bytes = at_least_one(bytes_of(id));
  if (options_.external_memory == MemoryKind::shared && is_input && !is_output &&
      device_.memory_facts().model == MemoryModel::discrete_window) {
    Result<Buffer> window = device_.allocate_window(size_bytes);
    if (window) return window;
  }
  return device_.allocate(size_bytes, options_.external_memory);
}

BufferRange Network::range_of(TensorId tensor, size_t slot) const {
  const TensorId root = root_of(schedule_, tensor);
  const Placement& placement = schedule_.placements[root];
  const size_t size_bytes = std::max<size_t>(bytes_of(tensor), 1);
  switch (placement.space) {
    case Space::weights: return {weights_[root].arena.get(), weights_[root].offset, size_bytes};
    case Space::activations: return {activations_.get(), placement.offset_bytes, size_bytes};
    case Space::external: return {&slots_[slot].externals[root], 0, size_bytes};
    case Space::state: return {&state_, placement.offset_bytes, size_bytes};
    case Space::none: break;
  }
  CHECK(false);
  return {};
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

/// Fills launches_; the first step of each distinct kernel.
std::vector<uint32_t> Network::find_launches() {
  std::unordered_map<std::string, size_t> known;
  std::vector<uint32_t> first_steps;
  for (uint32_t s = 0; s < schedule_.steps.size(); ++s) {
    const Step& step = schedule_.steps[s];
    const Node& node = schedule_.graph.nodes[step.node];
    const std::string key = kernel_key(schedule_, node) + to_string(step.params);
    const auto [found, is_first] = known.emplace(key, first_steps.size());
    if (is_first) first_steps.push_back(s);
    launches_.push_back({found->second, arguments_of(node, step.scratch), s});
  }
  return first_steps;
}

Result<void> Network::load_kernels() {
  const auto start = std::chrono::steady_clock::now();
  TRY(serve(find_launches()));
  stats_.launches = static_cast<uint32_t>(launches_.size());
  stats_.kernels = static_cast<uint32_t>(served_.size());
  stats_.compile_ms = ms_since(start);
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
  TRY_ASSIGN(CompiledKernels compiled, compile_kernels(schedule_, wishes, device_, cache_));
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

Result<void> Network::record_repeats(uint32_t count) { return record(0, count); }

Result<void> Network::record(size_t slot, uint32_t count) {
  Queue& queue = device_.queue();
  slots_[slot].copies = {};
  TRY(queue.begin_record());
  const Result<void> launched = launch_all(slot, count);
  // The queue is the device's: a failed launch must not leave it recording for the next network.
  Result<std::unique_ptr<RecordedList>> list = queue.end_record();
  TRY(launched);
  TRY_ASSIGN(slots_[slot].list, std::move(list));
  return {};
}

Result<void> Network::launch_all(size_t slot, uint32_t count) {
  Queue& queue = device_.queue();
  const auto mark = static_cast<uint32_t>(2 * slot);
  if (options_.times) TRY(queue.mark_time(mark));
  for (uint32_t i = 0; i < count; ++i) {
    for (const Launch& step : launches_) TRY(launch(step, slot));
  }
  if (options_.times) TRY(queue.mark_time(mark + 1));
  if (!options_.receipts) return {};
  const Buffer& receipt = slots_[slot].receipt;
  return copy(slot, CopyCause::receipt, {&receipt, kReceiptBytes, sizeof(uint64_t)},
              {&receipt, 0, sizeof(uint64_t)});
}

/// A copy that each run of the slot makes, counted by each start.
Result<void> Network::copy(size_t slot, CopyCause cause, BufferRange target, BufferRange source) {
  slots_[slot].copies[cause] += source.size_bytes;
  return device_.queue().copy(target, source);
}

// stats() is read while no host thread is at work.
void Network::count_copy(CopyCause cause, uint64_t size_bytes) {
  if (size_bytes == 0) return;
  std::atomic_ref<uint64_t>(stats_.copies[cause]).fetch_add(size_bytes, std::memory_order_relaxed);
}

Result<void> Network::launch(const Launch& launch, size_t slot) {
  ranges_.clear();
  for (TensorId id : launch.arguments) ranges_.push_back(range_of(id, slot));
  const Served& served = served_[launch.served];
  if (served.words) ranges_.push_back(*served.words);
  return device_.queue().launch(*served.kernel, ranges_, served.groups_x);
}

std::vector<Network::PlannedLaunch> Network::launches(size_t slot) const {
  std::vector<PlannedLaunch> planned;
  for (const Launch& launch : launches_) {
    planned.push_back({served_[launch.served].kernel.get(), {}});
    for (TensorId id : launch.arguments) planned.back().arguments.push_back(range_of(id, slot));
  }
  return planned;
}

ExternalView Network::view_of(TensorId id, size_t slot) const {
  const Placement& placement = schedule_.placements[id];
  const Tensor& tensor = schedule_.graph.tensors[id];
  ExternalView view;
  if (!placement.is_in_words()) view.host = slots_[slot].externals[id].host_pointer();
  view.size_bytes = bytes_of(id);
  view.dtype = tensor.dtype;
  view.storage = placement.storage;
  view.shape = tensor.shape;
  view.strides = placement.strides;
  return view;
}

ExternalView Network::input_view(size_t index, size_t slot) const {
  CHECK(index < schedule_.graph.inputs.size() && slot < slots_.size());
  return view_of(schedule_.graph.inputs[index], slot);
}

ExternalView Network::output_view(size_t index, size_t slot) const {
  CHECK(index < schedule_.graph.outputs.size() && slot < slots_.size());
  return view_of(schedule_.graph.outputs[index], slot);
}

Result<void> Network::place_input(size_t index, Buffer memory, size_t slot) {
  CHECK(index < schedule_.graph.inputs.size() && slot < slots_.size());
  return place(schedule_.graph.inputs[index], std::move(memory), slot);
}

Result<void> Network::place_output(size_t index, Buffer memory, size_t slot) {
  CHECK(index < schedule_.graph.outputs.size() && slot < slots_.size());
  return place(schedule_.graph.outputs[index], std::move(memory), slot);
}

Result<void> Network::place(TensorId id, Buffer memory, size_t slot) {
  Buffer& external = slots_[slot].externals[id];
  CHECK(external);
  const bool is_ours = memory.device() == external.device();
  if (!is_ours || memory.size_bytes() < bytes_of(id)) {
    return Error(ErrorKind::invalid_argument,
                 "Tensor \"" + schedule_.graph.tensors[id].name + "\" needs (" +
                     std::to_string(bytes_of(id)) + ") bytes of Device \"" + device_.info().name +
                     "\"; the memory given has (" + std::to_string(memory.size_bytes()) +
                     (is_ours ? ")." : ") of another device."));
  }
  std::swap(external, memory);
  const CopyCounts copies = slots_[slot].copies;
  const Result<void> recorded = record(slot, 1);
  if (!recorded) {  // the list before stays, with its copies and its memory
    std::swap(external, memory);
    slots_[slot].copies = copies;
    return recorded;
  }
  stats_.reserved_bytes += external.size_bytes();
  stats_.reserved_bytes -= memory.size_bytes();
  return {};
}

Result<void> Network::set_input(size_t index, const HostTensor& value, size_t slot) {
  CHECK(index < schedule_.graph.inputs.size() && slot < slots_.size());
  const TensorId id = schedule_.graph.inputs[index];
  const Tensor& tensor = schedule_.graph.tensors[id];
  if (value.shape != tensor.shape || value.dtype != tensor.dtype) {
    return Error(ErrorKind::invalid_argument,
                 "Input \"" + tensor.name + "\" is " + std::string(name_of(tensor.dtype)) + " " +
                     to_string(tensor.shape) + "; the value given is " +
                     std::string(name_of(value.dtype)) + " " + to_string(value.shape) + ".");
  }
  if (bytes_of(id) == 0) return {};
  const Placement& placement = schedule_.placements[id];
  const bool in_order = placement.strides == row_major_strides(tensor.shape);
  const Buffer& buffer = slots_[slot].externals[id];
  count_copy(CopyCause::input_tensor, bytes_of(id));
  if (std::byte* host = buffer.host_pointer(); host != nullptr && in_order) {
    to_storage(value, placement, {host, bytes_of(id)});
    return {};
  }
  std::vector<std::byte> bytes(bytes_of(id));
  to_storage(value, placement, bytes);
  if (!in_order) {
    bytes = to_strides(bytes, placement.storage, tensor.shape, placement.strides);
    count_copy(CopyCause::input_reordered, bytes.size());
  }
  uint64_t staged_bytes = 0;
  TRY(write_buffer(device_, {&buffer, 0, bytes.size()}, bytes, &staged_bytes));
  count_copy(CopyCause::input_staged, staged_bytes);
  return {};
}

Result<uint64_t> Network::start(size_t slot_index) {
  CHECK(slot_index < slots_.size());
  Slot& slot = slots_[slot_index];
  if (options_.receipts) {
    ++slot.ticket;
    std::memcpy(slot.receipt.host_pointer(), &slot.ticket, sizeof slot.ticket);
  }
  for (size_t c = 0; c < kCopyCauses; ++c) {
    count_copy(static_cast<CopyCause>(c), slot.copies.bytes[c]);
  }
  return device_.queue().replay(*slot.list);
}

bool Network::is_receipted(size_t slot_index) const {
  if (!options_.receipts) return true;
  const Slot& slot = slots_[slot_index];
  auto* const word = reinterpret_cast<uint64_t*>(slot.receipt.host_pointer() + kReceiptBytes);
  return std::atomic_ref<uint64_t>(*word).load(std::memory_order_acquire) == slot.ticket;
}

Result<SlotTimes> Network::slot_times(size_t slot) {
  CHECK(options_.times && slot < slots_.size());
  const auto mark = static_cast<uint32_t>(2 * slot);
  TRY_ASSIGN(const uint64_t begin_ns, device_.queue().time_ns(mark));
  TRY_ASSIGN(const uint64_t end_ns, device_.queue().time_ns(mark + 1));
  return SlotTimes{begin_ns, end_ns};
}

Result<void> Network::wait(uint64_t fence_value) {
  const uint64_t timeout_ns =
      options_.deadline_ns != 0 ? options_.deadline_ns : hang_timeout_ns(device_);
  TRY_ASSIGN(const bool done, device_.queue().fence().wait(fence_value, timeout_ns));
  if (done) return {};
  return Error(ErrorKind::device_lost, "Device \"" + device_.info().name +
                                           "\" did not finish a network within (" +
                                           std::to_string(timeout_ns / 1'000'000) + ") ms.");
}

Result<void> Network::run_once() {
  TRY_ASSIGN(const uint64_t value, start());
  return wait(value);
}

Result<void> Network::run() {
  TRY(run_to_end());
  return check_indices();
}

// No kernel writes an input, so a second run finds what the first one found.
Result<void> Network::run_to_end() {
  const Result<void> done = run_once();
  if (done || done.error().kind() != ErrorKind::device_lost) return done;
  const Result<void> abandoned = device_.queue().abandon();
  if (!abandoned && abandoned.error().kind() == ErrorKind::unsupported) return done;
  if (!abandoned) {
    return Error(ErrorKind::device_lost, done.error().message() + " Nor can it be given up: " +
                                             abandoned.error().message());
  }
  ++stats_.repeated_runs;
  const Result<void> again = run_once();
  if (again || again.error().kind() != ErrorKind::device_lost) return again;
  return Error(ErrorKind::device_lost,
               done.error().message() + " So is its repetition: " + again.error().message());
}

/// Of the element at a row-major position.
static Shape coordinates_of(int64_t position, const Shape& shape) {
  Shape coordinates(shape.size());
  for (size_t d = shape.size(); d-- > 0; position /= shape[d]) {
    coordinates[d] = position % shape[d];
  }
  return coordinates;
}

Result<void> Network::check_indices(size_t slot) {
  for (const IndexCheck& check : schedule_.graph.checks) {
    TRY_ASSIGN(const HostTensor position, external(check.position, slot));
    const int64_t at = position.integer(0);
    if (at == element_count(check.shape)) continue;
    TRY_ASSIGN(const HostTensor index, external(check.index, slot));
    const int64_t extent = check.extents[static_cast<size_t>(at) % check.extents.size()];
    return Error(ErrorKind::invalid_argument,
                 check.node + " has an index (" + std::to_string(index.integer(0)) +
                     ") outside the extent (" + std::to_string(extent) + "), at position " +
                     to_string(coordinates_of(at, check.shape)) + " of the indices " +
                     to_string(check.shape) + ".");
  }
  return {};
}

Result<HostTensor> Network::output(size_t index, size_t slot) {
  CHECK(index < schedule_.graph.outputs.size() && slot < slots_.size());
  TRY(check_indices(slot));
  return external(schedule_.graph.outputs[index], slot);
}

Result<HostTensor> Network::external(TensorId id, size_t slot) {
  const Tensor& tensor = schedule_.graph.tensors[id];
  const size_t size_bytes = bytes_of(id);
  const DType storage = schedule_.placements[id].storage;
  std::vector<std::byte> bytes(size_bytes);
  count_copy(CopyCause::output_tensor, size_bytes);
  if (size_bytes > 0) {
    uint64_t staged_bytes = 0;
    TRY(read_buffer(device_, {&slots_[slot].externals[id], 0, size_bytes}, bytes, &staged_bytes));
    count_copy(CopyCause::output_staged, staged_bytes);
  }
  const Placement& placement = schedule_.placements[id];
  if (placement.strides != row_major_strides(tensor.shape)) {
    bytes = from_strides(bytes, placement.storage, tensor.shape, placement.strides);
    count_copy(CopyCause::output_reordered, size_bytes);
  }
  return from_storage(bytes, storage, tensor.dtype, tensor.shape);
}

KernelTime Network::facts_of(const Launch& launch) const {
  const Step& step = schedule_.steps[launch.step];
  const Node& node = schedule_.graph.nodes[step.node];
  KernelTime facts;
  facts.name = node.name;
  facts.op = node.op;
  facts.params = to_string(step.params);
  facts.flop = flop_count(node);
  for (const TensorId tensor : launch.arguments) facts.bytes += range_of(tensor, 0).size_bytes;
  facts.step = launch.step;
  return facts;
}

/// As many as the queue has marks for, in one submit.
Result<void> Network::profile(std::span<const Launch> part, std::vector<KernelTime>& times) {
  Queue& queue = device_.queue();
  TRY(queue.mark_time(0));
  for (uint32_t i = 0; i < part.size(); ++i) {
    TRY(launch(part[i], 0));
    TRY(queue.mark_time(i + 1));
  }
  TRY_ASSIGN(const uint64_t value, queue.submit());
  TRY(wait(value));
  uint64_t at_ns = times.empty() ? 0 : times.back().begin_ns + times.back().time_ns;
  TRY_ASSIGN(uint64_t begin_ns, queue.time_ns(0));
  for (uint32_t i = 0; i < part.size(); ++i) {
    TRY_ASSIGN(const uint64_t end_ns, queue.time_ns(i + 1));
    KernelTime time = facts_of(part[i]);
    time.begin_ns = at_ns;
    time.time_ns = end_ns > begin_ns ? end_ns - begin_ns : 0;
    at_ns += time.time_ns;
    begin_ns = end_ns;
    times.push_back(std::move(time));
  }
  return {};
}

Result<std::vector<KernelTime>> Network::profile() {
  const std::span<const Launch> all = launches_;
  std::vector<KernelTime> times;
  for (size_t first = 0; first < all.size(); first += Queue::kTimeSlots - 1) {
    const size_t count = std::min<size_t>(all.size() - first, Queue::kTimeSlots - 1);
    TRY(profile(all.subspan(first, count), times));
  }
  return times;
}

}  // namespace leat
