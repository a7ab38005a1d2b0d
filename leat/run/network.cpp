// The half of the spine that runs, and knows no compiler: run() shows what happens to a tensor.
#include "leat/run/network.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "leat/run/transfer.h"

namespace leat {

namespace {

/// A ticket or receipt, with the rest of its cache line.
constexpr size_t kReceiptBytes = 64;

size_t at_least_one(size_t size_bytes) { return std::max<size_t>(size_bytes, kBufferAlignment); }

/// In pieces, so that the host needs no memory of that size.
Result<void> write_zeros(Device& device, const Buffer& buffer, size_t size_bytes) {
  constexpr size_t kPieceBytes = size_t{1} << 20;
  const std::vector<std::byte> zeros(std::min(size_bytes, kPieceBytes));
  for (size_t at = 0; at < size_bytes; at += zeros.size()) {
    const size_t count = std::min(zeros.size(), size_bytes - at);
    TRY(write_buffer(device, {&buffer, at, count}, std::span(zeros).first(count)));
  }
  return {};
}

}  // namespace

Network::Network(Device& device, const NetworkOptions& options)
    : device_(device), options_(options) {}

Result<std::unique_ptr<Network>> Network::load(Device& device, const RunPlan& plan,
                                               const NetworkOptions& options) {
  CHECK(options.shape_kernels == nullptr);
  std::unique_ptr<Network> network(new Network(device, options));
  network->schedule_ = plan.schedule;
  TRY(network->allocate());
  TRY(network->upload_weights(plan.weights));
  TRY(network->load_kernels(plan));
  TRY(network->record_all());
  return network;
}

Result<void> Network::load_kernels(const RunPlan& plan) {
  const auto start = std::chrono::steady_clock::now();
  KernelBinary binary;
  const std::byte* code = nullptr;
  for (const PlanKernel& kernel : plan.kernels) {
    std::vector<std::byte> bytes = std::move(binary.code);
    if (kernel.code.data() != code) bytes.assign(kernel.code.begin(), kernel.code.end());
    code = kernel.code.data();
    binary = kernel.binary;
    binary.code = std::move(bytes);
    Result<std::unique_ptr<Kernel>> loaded = device_.load(binary);
    if (!loaded) return loaded.error().during("loading kernel " + binary.name);
    std::shared_ptr<const Kernel> kept = std::move(*loaded);
    const uint32_t groups = kept->grid()[0];
    served_.push_back({.kernel = std::move(kept), .groups_x = groups, .words = {}});
  }
  for (const PlanLaunch& launch : plan.launches) {
    const auto step = static_cast<uint32_t>(launches_.size());
    launches_.push_back({launch.kernel, launch.arguments, launch.facts, step});
  }
  stats_.launches = static_cast<uint32_t>(launches_.size());
  stats_.kernels = static_cast<uint32_t>(served_.size());
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  stats_.compile_ms = took.count();
  return {};
}

size_t Network::bytes_of(TensorId tensor) const {
  return schedule_.placements[tensor].size_bytes();
}

Result<void> Network::allocate() {
  CHECK(options_.slots >= 1 && options_.slots <= kSlotsMax);
  const MemoryPlan& plan = schedule_.memory;
  TRY_ASSIGN(activations_, memory().arena(device_, at_least_one(plan.activations_bytes)));
  stats_.reserved_bytes = activations_->size_bytes();
  stats_.products = schedule_.products;
  stats_.tensor_bytes = plan.weights_bytes + plan.lower_bound_bytes + plan.state_bytes;
  if (plan.state_bytes > 0) {
    TRY_ASSIGN(state_, device_.allocate(plan.state_bytes, MemoryKind::device));
    stats_.reserved_bytes += state_.size_bytes();
    TRY(write_zeros(device_, state_, plan.state_bytes));
  }
  TRY(allocate_states());
  slots_.resize(options_.slots);
  for (Slot& slot : slots_) TRY(allocate_slot(slot));
  return {};
}

Result<void> Network::allocate_slot(Slot& slot) {
  slot.externals.resize(schedule_.placements.size());
  for (TensorId id = 0; id < schedule_.placements.size(); ++id) {
    if (schedule_.placements[id].space != Space::external || state_of(id) != nullptr) continue;
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
    case Space::external: {
      const State* const state = state_of(root);
      if (state == nullptr) return {&slots_[slot].externals[root], 0, size_bytes};
      const size_t read = recorded_side_.value_or(options_.state_memory->side());
      const bool is_written = state->output == root;
      return {sides_of(*state)[is_written ? read ^ 1 : read].get(), 0, size_bytes};
    }
    case Space::state: return {&state_, placement.offset_bytes, size_bytes};
    case Space::none: break;
  }
  CHECK(false);
  return {};
}

Network::SharedBytes Network::weights() const {
  SharedBytes shared;
  for (size_t id = 0; id < weights_.size(); ++id) {
    if (weights_[id].arena == nullptr) continue;
    const size_t units =
        (at_least_one(bytes_of(static_cast<TensorId>(id))) - 1) / kPlacementAlignment;
    shared[{weights_[id].arena.get(), weights_[id].offset}] = (units + 1) * kPlacementAlignment;
  }
  return shared;
}

/// All in one arena, as the plan has them.
Result<void> Network::upload_weights(std::span<const std::byte> image) {
  TRY_ASSIGN(Buffer made, device_.allocate(at_least_one(image.size()), MemoryKind::device));
  const auto arena = std::make_shared<const Buffer>(std::move(made));
  weights_.resize(schedule_.placements.size());
  for (TensorId id = 0; id < schedule_.placements.size(); ++id) {
    const Placement& placement = schedule_.placements[id];
    if (placement.space == Space::weights) weights_[id] = {arena, placement.offset_bytes};
  }
  count_copy(CopyCause::weights, image.size());
  stats_.reserved_bytes += arena->size_bytes();
  return write_buffer(device_, {arena.get(), 0, image.size()}, image);
}

Result<void> Network::record_all() {
  for (size_t slot = 0; slot < slots_.size(); ++slot) TRY(record(slot, 1));
  return {};
}

Result<void> Network::record_repeats(uint32_t count) { return record(0, count); }

Result<void> Network::record(size_t slot, uint32_t count) {
  std::array<std::unique_ptr<RecordedList>, 2> lists;
  for (size_t side = 0; side < (has_states_ ? 2u : 1u); ++side) {
    recorded_side_ = side;
    Result<std::unique_ptr<RecordedList>> list = record_list(slot, count);
    recorded_side_.reset();
    TRY_ASSIGN(lists[side], std::move(list));
  }
  slots_[slot].lists = std::move(lists);
  return {};
}

Result<std::unique_ptr<RecordedList>> Network::record_list(size_t slot, uint32_t count) {
  Queue& queue = device_.queue();
  slots_[slot].copies = {};
  TRY(queue.begin_record());
  const Result<void> launched = launch_all(slot, count);
  // The queue is the device's: a failed launch must not leave it recording for the next network.
  Result<std::unique_ptr<RecordedList>> list = queue.end_record();
  TRY(launched);
  return list;
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
  if (!placement.is_in_words()) view.host = external_buffer(id, slot).host_pointer();
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
  if (state_of(id) != nullptr) {
    return Error(ErrorKind::invalid_argument, "Tensor \"" + schedule_.graph.tensors[id].name +
                                                  "\" is a state, which has memory of its own.");
  }
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
  has_placed_ = true;
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
  const Buffer& buffer = external_buffer(id, slot);
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
  if (has_states_ && states_version_ != options_.state_memory->version()) {
    TRY(record_all());
    take_sides();
  }
  Slot& slot = slots_[slot_index];
  if (options_.receipts) {
    ++slot.ticket;
    std::memcpy(slot.receipt.host_pointer(), &slot.ticket, sizeof slot.ticket);
  }
  for (size_t c = 0; c < kCopyCauses; ++c) {
    count_copy(static_cast<CopyCause>(c), slot.copies.bytes[c]);
  }
  if (!has_states_) return device_.queue().replay(*slot.lists[0]);
  const size_t side = options_.state_memory->side();
  TRY_ASSIGN(const uint64_t value, device_.queue().replay(*slot.lists[side]));
  if (!holds_states_) options_.state_memory->flip();
  has_started_ = true;
  return value;
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

// No kernel writes an input, so a second run finds what the first one found; of states, too, where
// they are turned back.
Result<void> Network::run_to_end() {
  const size_t side = has_states_ ? options_.state_memory->side() : 0;
  const auto turn_back = [&] {
    if (has_states_ && options_.state_memory->side() != side) options_.state_memory->flip();
  };
  const Result<void> done = run_once();
  if (done || done.error().kind() != ErrorKind::device_lost) return done;
  turn_back();
  // Of another slot, which may have written what this one was to read, more is lost.
  if (has_states_ && slots_.size() > 1) return done;
  const Result<void> abandoned = device_.queue().abandon();
  if (!abandoned && abandoned.error().kind() == ErrorKind::unsupported) return done;
  if (!abandoned) {
    return Error(ErrorKind::device_lost, done.error().message() + " Nor can it be given up: " +
                                             abandoned.error().message());
  }
  ++stats_.repeated_runs;
  const Result<void> again = run_once();
  if (again || again.error().kind() != ErrorKind::device_lost) return again;
  turn_back();
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
    const int64_t count = element_count(check.shape);
    if (at == count) continue;
    if (at < 0 || at > count) {
      return Error(ErrorKind::internal, "The check of " + check.node + " found position (" +
                                            std::to_string(at) + ") of (" + std::to_string(count) +
                                            ") indices.");
    }
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
    const Buffer& buffer = external_buffer(id, slot);
    TRY(read_buffer(device_, {&buffer, 0, size_bytes}, bytes, &staged_bytes));
    count_copy(CopyCause::output_staged, staged_bytes);
  }
  const Placement& placement = schedule_.placements[id];
  if (placement.strides != row_major_strides(tensor.shape)) {
    bytes = from_strides(bytes, placement.storage, tensor.shape, placement.strides);
    count_copy(CopyCause::output_reordered, size_bytes);
  }
  return from_storage(bytes, storage, tensor.dtype, tensor.shape);
}

double Network::flop() const {
  double sum = 0;
  for (const Launch& launch : launches_) sum += launch.facts.flop;
  return sum;
}

KernelTime Network::facts_of(const Launch& launch) const {
  KernelTime facts;
  facts.name = launch.facts.name;
  facts.op = launch.facts.op;
  facts.params = launch.facts.params;
  facts.flop = launch.facts.flop;
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
