// The spine. Read load() from top to bottom to see what happens to a graph, run() to see what
// happens to a tensor.
#include "leat/run/network.h"

#include <algorithm>
#include <chrono>

#include "leat/emit/emit.h"
#include "leat/ir/text.h"
#include "leat/lower/lower.h"
#include "leat/run/transfer.h"
#include "leat/schedule/layout.h"

namespace leat {

namespace {

double ms_since(std::chrono::steady_clock::time_point start) {
  const std::chrono::duration<double, std::milli> passed = std::chrono::steady_clock::now() - start;
  return passed.count();
}

/// A cached kernel is trusted by its key; this catches a renamed file or a colliding hash.
bool is_binary_of(const KernelBinary& binary, const ir::Program& program) {
  const auto is_of = [](const KernelArgument& argument, const ir::Parameter& parameter) {
    return argument.storage == parameter.storage && argument.written == parameter.written;
  };
  return binary.name == program.name && std::ranges::equal(binary.grid, program.grid) &&
         std::ranges::equal(binary.arguments, program.parameters, is_of);
}

}  // namespace

Result<std::unique_ptr<Network>> Network::load(Device& device, const Graph& graph,
                                               const NetworkOptions& options) {
  std::unique_ptr<Network> network(new Network(device, options));
  TRY(network->prepare(graph));
  return network;
}

Result<void> Network::prepare(const Graph& graph) {
  TRY_ASSIGN(schedule_, make_schedule(graph, device_.target(), options_.schedule));
  TRY(allocate());
  TRY(upload_weights());
  TRY(load_kernels());
  return record_repeats(1);
}

size_t Network::bytes_of(TensorId tensor) const {
  const Placement& placement = schedule_.placements[tensor];
  return static_cast<size_t>(placement.element_count * size_bytes_of(placement.storage));
}

Result<void> Network::allocate() {
  auto at_least_one = [](size_t size_bytes) { return std::max<size_t>(size_bytes, 256); };
  TRY_ASSIGN(weights_,
             device_.allocate(at_least_one(schedule_.memory.weights_bytes), MemoryKind::device));
  TRY_ASSIGN(activations_, device_.allocate(at_least_one(schedule_.memory.activations_bytes),
                                            MemoryKind::device));
  externals_.resize(schedule_.placements.size());
  for (TensorId id = 0; id < schedule_.placements.size(); ++id) {
    if (schedule_.placements[id].space != Space::external) continue;
    TRY_ASSIGN(externals_[id],
               device_.allocate(at_least_one(bytes_of(id)), options_.external_memory));
  }
  return {};
}

BufferRange Network::range_of(TensorId tensor) const {
  const TensorId root = root_of(schedule_, tensor);
  const Placement& placement = schedule_.placements[root];
  const size_t size_bytes = std::max<size_t>(bytes_of(tensor), 1);
  switch (placement.space) {
    case Space::weights: return {&weights_, placement.offset_bytes, size_bytes};
    case Space::activations: return {&activations_, placement.offset_bytes, size_bytes};
    case Space::external: return {&externals_[root], 0, size_bytes};
    case Space::none: break;
  }
  CHECK(false);
  return {};
}

Result<void> Network::upload_weights() {
  std::vector<std::byte> image(schedule_.memory.weights_bytes);
  const Graph& graph = schedule_.graph;
  for (const Step& step : schedule_.steps) {
    const Node& node = graph.nodes[step.node];
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const TensorId id = node.inputs[i];
      const Placement& placement = schedule_.placements[id];
      if (placement.space != Space::weights) continue;
      const std::span<std::byte> place(image.data() + placement.offset_bytes, bytes_of(id));
      if (placement.packed) {
        pack_b(node.contraction, step.params.contraction, *graph.tensors[id].constant,
               placement.storage, place);
      } else {
        const Result<void> written =
            to_storage(*graph.tensors[id].constant, placement.storage, place);
        if (!written) return written.error().during("loading constant " + graph.tensors[id].name);
      }
    }
  }
  return write_buffer(device_, {&weights_, 0, image.size()}, image);
}

Result<std::unique_ptr<Kernel>> Network::compile(const Step& step,
                                                 std::vector<TensorId>& arguments) {
  TRY_ASSIGN(LoweredKernel lowered, lower(schedule_, step, device_.target()));
  arguments = lowered.arguments;
  const uint64_t key =
      KernelCache::key_of(ir::print_program(lowered.program), device_.target(),
                          emitter_version(device_.target()), device_.info().driver);
  ++stats_.kernels;
  const std::optional<KernelBinary> known = cache_.find(key, device_.target());
  if (known && is_binary_of(*known, lowered.program)) {
    Result<std::unique_ptr<Kernel>> kernel = device_.load(*known);
    if (kernel) return kernel;
  }
  ++stats_.compiled;
  TRY_ASSIGN(const KernelBinary binary, emit(lowered.program, device_.target()));
  TRY_ASSIGN(std::unique_ptr<Kernel> kernel, device_.load(binary));
  cache_.store(key, binary);
  return kernel;
}

Result<void> Network::load_kernels() {
  const auto start = std::chrono::steady_clock::now();
  for (uint32_t s = 0; s < schedule_.steps.size(); ++s) {
    const Step& step = schedule_.steps[s];
    LoadedKernel loaded;
    loaded.step = s;
    std::vector<TensorId> arguments;
    Result<std::unique_ptr<Kernel>> kernel = compile(step, arguments);
    if (!kernel) {
      return kernel.error().during("compiling kernel " + schedule_.graph.nodes[step.node].name);
    }
    loaded.kernel = std::move(*kernel);
    for (TensorId id : arguments) loaded.arguments.push_back(range_of(id));
    kernels_.push_back(std::move(loaded));
  }
  stats_.compile_ms = ms_since(start);
  return {};
}

Result<void> Network::record_repeats(uint32_t count) {
  Queue& queue = device_.queue();
  TRY(queue.begin_record());
  const Result<void> launched = launch_all(count);
  // The queue is the device's: a failed launch must not leave it recording for the next network.
  Result<std::unique_ptr<RecordedList>> list = queue.end_record();
  TRY(launched);
  TRY_ASSIGN(list_, std::move(list));
  return {};
}

Result<void> Network::launch_all(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    for (const LoadedKernel& loaded : kernels_) {
      TRY(device_.queue().launch(*loaded.kernel, loaded.arguments));
    }
  }
  return {};
}

Result<void> Network::set_input(size_t index, const HostTensor& value) {
  CHECK(index < schedule_.graph.inputs.size());
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
  std::byte* host = externals_[id].host_pointer();
  if (host != nullptr && in_order)
    return to_storage(value, placement.storage, {host, bytes_of(id)});
  std::vector<std::byte> bytes(bytes_of(id));
  TRY(to_storage(value, placement.storage, bytes));
  if (!in_order) bytes = to_strides(bytes, placement.storage, tensor.shape, placement.strides);
  return write_buffer(device_, {&externals_[id], 0, bytes.size()}, bytes, &stats_.staged_bytes);
}

Result<uint64_t> Network::start() { return device_.queue().replay(*list_); }

Result<void> Network::wait(uint64_t fence_value) {
  const uint64_t timeout_ns = hang_timeout_ns(device_);
  TRY_ASSIGN(const bool done, device_.queue().fence().wait(fence_value, timeout_ns));
  if (done) return {};
  return Error(ErrorKind::device_lost,
               "Device \"" + device_.info().name + "\" did not finish a network within (" +
                   std::to_string(timeout_ns / 1'000'000'000) + ") seconds.");
}

Result<void> Network::run() {
  TRY_ASSIGN(const uint64_t value, start());
  return wait(value);
}

Result<HostTensor> Network::output(size_t index) {
  CHECK(index < schedule_.graph.outputs.size());
  const TensorId id = schedule_.graph.outputs[index];
  const Tensor& tensor = schedule_.graph.tensors[id];
  const size_t size_bytes = bytes_of(id);
  const DType storage = schedule_.placements[id].storage;
  std::vector<std::byte> bytes(size_bytes);
  if (size_bytes > 0) {
    TRY(read_buffer(device_, {&externals_[id], 0, size_bytes}, bytes, &stats_.staged_bytes));
  }
  const Placement& placement = schedule_.placements[id];
  if (placement.strides != row_major_strides(tensor.shape)) {
    bytes = from_strides(bytes, placement.storage, tensor.shape, placement.strides);
  }
  return from_storage(bytes, storage, tensor.dtype, tensor.shape);
}

Result<std::vector<KernelTime>> Network::profile() {
  Queue& queue = device_.queue();
  std::vector<KernelTime> times;
  for (const LoadedKernel& loaded : kernels_) {
    const Step& step = schedule_.steps[loaded.step];
    const Node& node = schedule_.graph.nodes[step.node];
    TRY(queue.mark_time(0));
    TRY(queue.launch(*loaded.kernel, loaded.arguments));
    TRY(queue.mark_time(1));
    TRY_ASSIGN(const uint64_t value, queue.submit());
    TRY(wait(value));
    TRY_ASSIGN(const uint64_t begin_ns, queue.time_ns(0));
    TRY_ASSIGN(const uint64_t end_ns, queue.time_ns(1));
    KernelTime time;
    time.name = node.name;
    time.op = node.op;
    time.flop = flop_count(schedule_.graph, node);
    time.time_ns = end_ns - begin_ns;
    time.params = node.family == Family::contraction ? to_string(step.params.contraction) : "";
    for (const BufferRange& range : loaded.arguments) time.bytes += range.size_bytes;
    times.push_back(std::move(time));
  }
  return times;
}

}  // namespace leat
