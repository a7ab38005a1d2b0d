// Runs: on the caller's tensors, in place, started and waited for.
#include <fcntl.h>
#include <fmt/format.h>

#include <optional>

#include "bindings/c/c_model.h"
#include "leat/base/files.h"

namespace leat::c {

namespace {

Error invalid(std::string message) {
  return Error(ErrorKind::invalid_argument, std::move(message));
}

bool has_shape_of(const leat_tensor& tensor, const Shape& shape) {
  return tensor.rank == static_cast<int32_t>(shape.size()) &&
         std::ranges::equal(std::span(tensor.shape, shape.size()), shape);
}

bool fits(const leat_tensor& tensor, const ModelValue& value) {
  return tensor.type == type_of(value.dtype) && has_shape_of(tensor, value.shape) &&
         tensor.size_bytes == bytes_of(value.dtype, value.shape) &&
         (tensor.data != nullptr || tensor.size_bytes == 0);
}

Result<void> accept_count(size_t given, size_t wanted, const char* what) {
  if (given == wanted) return {};
  return invalid(fmt::format("Number of {} ({}) is not the model's ({}).", what, given, wanted));
}

/// Says what is wrong, or takes other shapes. The plain case, where all fit, takes no memory.
Result<void> accept_inputs(LoadedModel& model, std::span<const leat_tensor> inputs) {
  const std::vector<ModelValue>& wanted = model.model().inputs;
  TRY(accept_count(inputs.size(), wanted.size(), "inputs"));
  if (model.check_ready() && std::ranges::equal(inputs, wanted, fits)) return {};
  std::vector<Shape> shapes;
  for (size_t i = 0; i < inputs.size(); ++i) {
    TRY_ASSIGN(TensorFacts facts, facts_of(inputs[i], fmt::format("input \"{}\"", wanted[i].name)));
    if (facts.dtype != wanted[i].dtype) {
      return invalid(fmt::format("Input \"{}\" is {} {}; the tensor given is {} {}.",
                                 wanted[i].name, name_of(wanted[i].dtype),
                                 to_string(wanted[i].shape), name_of(facts.dtype),
                                 to_string(facts.shape)));
    }
    shapes.push_back(std::move(facts.shape));
  }
  return model.take_shapes(shapes);
}

/// Whether to run: false when an output has no memory, and all are described instead.
Result<bool> accept_outputs(std::span<const ModelValue> wanted, std::span<leat_tensor> outputs) {
  TRY(accept_count(outputs.size(), wanted.size(), "outputs"));
  const auto size_of = [&](size_t i) { return bytes_of(wanted[i].dtype, wanted[i].shape); };
  bool has_memory = true;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].data == nullptr && size_of(i) > 0) has_memory = false;
  }
  for (size_t i = 0; i < outputs.size(); ++i) {
    const ModelValue& value = wanted[i];
    if (!has_memory) {
      describe(value.dtype, value.shape, outputs[i]);
    } else if (outputs[i].size_bytes < size_of(i)) {
      return invalid(fmt::format("Output \"{}\" {} {} needs ({}) bytes; the tensor given has ({}).",
                                 value.name, name_of(value.dtype), to_string(value.shape),
                                 size_of(i), outputs[i].size_bytes));
    }
  }
  return has_memory;
}

Result<void> write_input(Network& network, size_t index, const leat_tensor& tensor) {
  const ExternalView view = network.input_view(index);
  if (!is_plain(view)) {
    TRY_ASSIGN(const HostTensor value, value_of(tensor, "an input"));
    return network.set_input(index, value);
  }
  if (view.host == tensor.data || tensor.size_bytes == 0) return {};
  std::memmove(view.host, tensor.data, tensor.size_bytes);
  network.count_copy(CopyCause::input_tensor, tensor.size_bytes);
  return {};
}

Result<void> read_output(Network& network, size_t index, leat_tensor& tensor) {
  const ExternalView view = network.output_view(index);
  describe(view.dtype, view.shape, tensor);
  if (tensor.size_bytes == 0) return {};
  if (!is_plain(view)) {
    TRY_ASSIGN(const HostTensor value, network.output(index));
    std::memcpy(tensor.data, value.bytes.data(), tensor.size_bytes);
    return {};
  }
  if (view.host == tensor.data) return {};
  std::memmove(tensor.data, view.host, tensor.size_bytes);
  network.count_copy(CopyCause::output_tensor, tensor.size_bytes);
  return {};
}

Result<void> run_once(Network& network, std::span<const leat_tensor> inputs,
                      std::span<leat_tensor> outputs) {
  for (size_t i = 0; i < inputs.size(); ++i) TRY(write_input(network, i, inputs[i]));
  TRY(network.run());
  for (size_t i = 0; i < outputs.size(); ++i) TRY(read_output(network, i, outputs[i]));
  return {};
}

bool is_equal(const HostTensor& a, const HostTensor& b) {
  return a.dtype == b.dtype && a.shape == b.shape && a.bytes == b.bytes;
}

/// Of the state that an output (input) has, where it has one.
std::optional<size_t> state_of(const LoadedModel& model, size_t StatePair::*end, size_t index) {
  for (size_t s = 0; s < model.state_count(); ++s) {
    if (model.state_pair(s).*end == index) return s;
  }
  return std::nullopt;
}

/// Results, of which those that are states are read where the caller has memory for them, and are
/// nothing, of no elements, where not.
Result<void> read_states(leat_model& model, std::span<const leat_tensor> outputs,
                         std::vector<HostTensor>& results) {
  for (size_t i = 0; i < results.size(); ++i) {
    const std::optional<size_t> state = state_of(*model.loaded, &StatePair::output, i);
    if (!state) continue;
    results[i] = HostTensor::zeros(model.loaded->model().outputs[i].dtype, {0});
    if (i >= outputs.size() || outputs[i].data == nullptr) continue;
    TRY_ASSIGN(results[i], model.loaded->state(*state));
  }
  return {};
}

/// Whether the tensor stands for what the last run left: it has no memory, and is not the value of
/// no elements.
bool goes_on(const leat_tensor& tensor) {
  if (tensor.data != nullptr) return false;
  const auto rank = static_cast<size_t>(std::clamp(tensor.rank, 0, LEAT_RANK_MAX));
  return std::ranges::count(std::span(tensor.shape, rank), 0) == 0;
}

Result<std::vector<HostTensor>> values_of(const LoadedModel& model,
                                          std::span<const leat_tensor> inputs) {
  std::vector<HostTensor> values(inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (state_of(model, &StatePair::input, i) && goes_on(inputs[i])) continue;
    TRY_ASSIGN(values[i], value_of(inputs[i], "an input"));
  }
  return values;
}

void copy_results(std::span<const HostTensor> results, std::span<leat_tensor> outputs) {
  for (size_t i = 0; i < outputs.size(); ++i) {
    describe(results[i].dtype, results[i].shape, outputs[i]);
    if (outputs[i].size_bytes == 0) continue;
    std::memcpy(outputs[i].data, results[i].bytes.data(), outputs[i].size_bytes);
  }
}

/// As they will be; those that are states, and that nobody wants, of no elements.
std::vector<ModelValue> values_wanted(const LoadedModel& model,
                                      std::span<const leat_tensor> outputs) {
  std::vector<ModelValue> values = model.model().outputs;
  for (size_t i = 0; i < std::min(values.size(), outputs.size()); ++i) {
    const bool is_left_out = outputs[i].data == nullptr;
    if (is_left_out && state_of(model, &StatePair::output, i)) values[i].shape = {0};
  }
  return values;
}

/// Of a model in parts, which tells the sizes of its outputs by running: a call that only asks for
/// them, or has too little memory, leaves the results for the next one with equal inputs.
Result<void> run_in_parts(leat_model& model, std::span<const leat_tensor> inputs,
                          std::span<leat_tensor> outputs) {
  TRY_ASSIGN(std::vector<HostTensor> given, values_of(*model.loaded, inputs));
  TRY(accept_count(outputs.size(), model.loaded->model().outputs.size(), "outputs"));
  std::vector<HostTensor> results = std::exchange(model.described, {});
  if (results.empty() || !std::ranges::equal(given, model.described_inputs, is_equal)) {
    TRY_ASSIGN(results, model.loaded->run(given));
  }
  TRY(read_states(model, outputs, results));
  std::vector<ModelValue> values = model.loaded->model().outputs;
  for (size_t i = 0; i < values.size(); ++i) {
    values[i].dtype = results[i].dtype;
    values[i].shape = results[i].shape;
  }
  const Result<bool> has_memory = accept_outputs(values, outputs);
  if (!has_memory || !*has_memory) {
    model.described = std::move(results);
    model.described_inputs = std::move(given);
    return has_memory ? Result<void>() : has_memory.error();
  }
  copy_results(results, outputs);
  return {};
}

/// Of a model with states, through host tensors. Nothing runs before the outputs are seen to fit,
/// as no run is undone.
Result<void> run_with_states(leat_model& model, std::span<const leat_tensor> inputs,
                             std::span<leat_tensor> outputs) {
  LoadedModel& loaded = *model.loaded;
  TRY_ASSIGN(const std::vector<HostTensor> given, values_of(loaded, inputs));
  TRY(loaded.take_shapes_of(given));
  if (loaded.is_in_parts()) return run_in_parts(model, inputs, outputs);  // for these shapes
  TRY_ASSIGN(const bool has_memory, accept_outputs(values_wanted(loaded, outputs), outputs));
  if (!has_memory) return {};
  TRY_ASSIGN(std::vector<HostTensor> results, loaded.run(given));
  TRY(read_states(model, outputs, results));
  copy_results(results, outputs);
  return {};
}

/// Which end of a model, for what concerns both.
enum class End : uint8_t { input, output };

Result<void> check_place(const leat_model* model, size_t slot, size_t index, End end) {
  TRY(check_given(model, "model"));
  TRY(model->loaded->check_ready());
  TRY(model->loaded->check_whole("be read or written in place"));
  TRY(check_below(slot, model->loaded->network().slot_count(), "Slot"));
  const Model& own = model->loaded->model();
  return end == End::input ? check_below(index, own.inputs.size(), "Index of an input")
                           : check_below(index, own.outputs.size(), "Index of an output");
}

/// Errors: unsupported, when the caller's elements are not what lies there, or `is_seen` and the
/// host does not reach them.
Result<ExternalView> plain_view(const leat_model* model, size_t slot, size_t index, End end,
                                bool is_seen) {
  TRY(check_place(model, slot, index, end));
  const auto of_end = end == End::input ? &StatePair::input : &StatePair::output;
  if (state_of(*model->loaded, of_end, index)) {
    return invalid("What is a state has memory of its own: leat_model_set_state gives it a value.");
  }
  const Network& network = model->loaded->network();
  ExternalView view =
      end == End::input ? network.input_view(index, slot) : network.output_view(index, slot);
  if (is_plain(view) || (!is_seen && view.storage == view.dtype && view.is_row_major()))
    return view;
  const Model& own = model->loaded->model();
  const ModelValue& value = end == End::input ? own.inputs[index] : own.outputs[index];
  return Error(ErrorKind::unsupported,
               fmt::format("\"{}\" {} {} cannot be read and written in place on Device \"{}\", "
                           "which keeps it as {}{}.",
                           value.name, name_of(value.dtype), to_string(value.shape),
                           model->loaded->device().info().name, name_of(view.storage),
                           view.is_row_major() ? "" : " in another order"));
}

leat_status show_memory(leat_model* model, size_t slot, size_t index, End end,
                        leat_tensor* memory) {
  return guarded([&]() -> Result<void> {
    TRY(check_given(memory, "memory"));
    TRY_ASSIGN(const ExternalView view, plain_view(model, slot, index, end, true));
    describe(view.dtype, view.shape, *memory);
    memory->data = view.host;
    return {};
  });
}

/// `make` makes the buffer, with the device to itself.
template <typename Make>
leat_status place(leat_model* model, size_t slot, size_t index, End end, const Make& make) {
  return guarded([&]() -> Result<void> {
    TRY(plain_view(model, slot, index, end, false));  // of a dma-buf the host may see nothing
    return model->loaded->alone([&](Network& network) -> Result<void> {
      TRY_ASSIGN(Buffer buffer, make(network.device()));
      return end == End::input ? network.place_input(index, std::move(buffer), slot)
                               : network.place_output(index, std::move(buffer), slot);
    });
  });
}

leat_status place_host(leat_model* model, size_t slot, size_t index, End end, void* memory,
                       size_t size_bytes) {
  return place(model, slot, index, end, [&](Device& device) -> Result<Buffer> {
    TRY(check_given(memory, "memory"));
    return device.import_host({static_cast<std::byte*>(memory), size_bytes});
  });
}

leat_status place_dma_buf(leat_model* model, size_t slot, size_t index, End end, int fd,
                          size_t size_bytes) {
  return place(model, slot, index, end, [&](Device& device) -> Result<Buffer> {
    TRY_ASSIGN(const uint64_t there, size_of_descriptor(fd));
    if (there < size_bytes) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("File descriptor ({}) holds ({}) bytes, fewer than ({}).", fd, there,
                               size_bytes));
    }
    if (end == End::output && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("File descriptor ({}) is open for reading; an output is written.", fd));
    }
    return device.import_dma_buf(fd, size_bytes);
  });
}

Result<StartedRun> start(leat_model* model, size_t slot) {
  TRY(check_given(model, "model"));
  TRY(model->loaded->check_ready());
  TRY(check_below(slot, model->loaded->network().slot_count(), "Slot"));
  return model->loaded->start(slot);
}

Result<FencePoint> point_of(const leat_fence* fence) {
  TRY(check_given(fence, "fence"));
  TRY(check_given(fence->source, "source of a fence"));
  return FencePoint{const_cast<Fence*>(static_cast<const Fence*>(fence->source)), fence->value};
}

leat_status timed_out(leat_status status, bool is_reached) {
  if (status != LEAT_OK || is_reached) return status;
  return fail(LEAT_TIMEOUT, "The run has not come to its end yet.");
}

Result<void> run_accepted(LoadedModel& model, std::span<const leat_tensor> inputs,
                          std::span<leat_tensor> outputs) {
  TRY_ASSIGN(const bool runs, accept_outputs(model.model().outputs, outputs));
  if (!runs) return {};
  while (true) {
    const Result<void> done =
        model.alone([&](Network& network) { return run_once(network, inputs, outputs); });
    if (done || done.error().kind() != ErrorKind::device_lost) return done;
    TRY(model.give_way(done.error()));
  }
}

}  // namespace

bool is_plain(const ExternalView& view) {
  return view.host != nullptr && view.storage == view.dtype && view.is_row_major();
}

Result<void> run_on(LoadedModel& model, std::span<const leat_tensor> inputs,
                    std::span<leat_tensor> outputs) {
  TRY(accept_inputs(model, inputs));
  return run_accepted(model, inputs, outputs);
}

}  // namespace leat::c

using namespace leat;

leat_status leat_run(leat_model* model, const leat_tensor* inputs, size_t input_count,
                     leat_tensor* outputs, size_t output_count) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    if (input_count > 0) TRY(c::check_given(inputs, "inputs"));
    if (output_count > 0) TRY(c::check_given(outputs, "outputs"));
    LoadedModel& loaded = *model->loaded;
    const std::span<const leat_tensor> given(inputs, input_count);
    const std::span<leat_tensor> wanted(outputs, output_count);
    TRY(c::accept_count(given.size(), loaded.model().inputs.size(), "inputs"));
    if (loaded.state_count() == 0) TRY(c::accept_inputs(loaded, given));
    if (loaded.is_in_parts()) return c::run_in_parts(*model, given, wanted);
    return loaded.state_count() > 0 ? c::run_with_states(*model, given, wanted)
                                    : c::run_accepted(loaded, given, wanted);
  });
}

size_t leat_model_state_count(const leat_model* model) {
  return model == nullptr ? 0 : model->loaded->state_count();
}

leat_status leat_model_state(const leat_model* model, size_t index, size_t* output, size_t* input) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY(c::check_below(index, model->loaded->state_count(), "Index of a state"));
    const StatePair& pair = model->loaded->state_pair(index);
    if (output != nullptr) *output = pair.output;
    if (input != nullptr) *input = pair.input;
    return {};
  });
}

leat_status leat_model_read_state(leat_model* model, size_t index, leat_tensor* value) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY(c::check_given(value, "value"));
    TRY(c::check_below(index, model->loaded->state_count(), "Index of a state"));
    TRY_ASSIGN(const HostTensor state, model->loaded->state(index));
    const ModelValue told = {.name = "state", .dtype = state.dtype, .shape = state.shape};
    TRY_ASSIGN(const bool has_memory, c::accept_outputs(std::span(&told, 1), std::span(value, 1)));
    if (!has_memory) return {};
    c::describe(state.dtype, state.shape, *value);
    if (value->size_bytes > 0) std::memcpy(value->data, state.bytes.data(), value->size_bytes);
    return {};
  });
}

leat_status leat_model_set_state(leat_model* model, size_t index, const leat_tensor* value) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY(c::check_given(value, "value"));
    TRY(c::check_below(index, model->loaded->state_count(), "Index of a state"));
    TRY_ASSIGN(HostTensor state, c::value_of(*value, "a state"));
    model->described.clear();
    return model->loaded->set_state(index, std::move(state));
  });
}

leat_status leat_model_forget_states(leat_model* model) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    model->described.clear();
    model->loaded->forget_states();
    return {};
  });
}

leat_status leat_model_input_memory(leat_model* model, size_t slot, size_t index,
                                    leat_tensor* memory) {
  return c::show_memory(model, slot, index, c::End::input, memory);
}

leat_status leat_model_output_memory(leat_model* model, size_t slot, size_t index,
                                     leat_tensor* memory) {
  return c::show_memory(model, slot, index, c::End::output, memory);
}

size_t leat_model_place_alignment(const leat_model* model) {
  if (model == nullptr || !model->loaded->check_ready()) return 0;
  const MemoryFacts facts = model->loaded->device().memory_facts();
  return facts.imports_host ? facts.import_alignment_bytes : 0;
}

leat_status leat_model_place_input(leat_model* model, size_t slot, size_t index, void* memory,
                                   size_t size_bytes) {
  return c::place_host(model, slot, index, c::End::input, memory, size_bytes);
}

leat_status leat_model_place_output(leat_model* model, size_t slot, size_t index, void* memory,
                                    size_t size_bytes) {
  return c::place_host(model, slot, index, c::End::output, memory, size_bytes);
}

leat_status leat_model_place_input_dma_buf(leat_model* model, size_t slot, size_t index, int fd,
                                           size_t size_bytes) {
  return c::place_dma_buf(model, slot, index, c::End::input, fd, size_bytes);
}

leat_status leat_model_place_output_dma_buf(leat_model* model, size_t slot, size_t index, int fd,
                                            size_t size_bytes) {
  return c::place_dma_buf(model, slot, index, c::End::output, fd, size_bytes);
}

leat_status leat_model_start(leat_model* model, size_t slot, leat_fence* fence) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(fence, "fence"));
    TRY_ASSIGN(const StartedRun run, c::start(model, slot));
    *fence = {run.point.fence, run.point.value};
    return {};
  });
}

leat_status leat_model_run_in_place(leat_model* model, size_t slot) {
  return c::guarded([&]() -> Result<void> {
    TRY_ASSIGN(const StartedRun run, c::start(model, slot));
    Network& network = model->loaded->network();
    TRY(network.wait(run.point.value));
    return network.check_indices(slot);
  });
}

leat_status leat_fence_look(const leat_fence* fence, int32_t* is_done) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(is_done, "is_done"));
    TRY_ASSIGN(const FencePoint point, c::point_of(fence));
    TRY_ASSIGN(const bool reached, point.look());
    *is_done = reached ? 1 : 0;
    return {};
  });
}

leat_status leat_fence_wait(const leat_fence* fence, uint64_t timeout_ns) {
  bool is_reached = false;
  const leat_status status = c::guarded([&]() -> Result<void> {
    TRY_ASSIGN(const FencePoint point, c::point_of(fence));
    TRY_ASSIGN(is_reached, point.fence->wait(point.value, timeout_ns));
    return {};
  });
  return c::timed_out(status, is_reached);
}

leat_status leat_fence_wait_any(const leat_fence* fences, size_t count, uint64_t timeout_ns,
                                size_t* index) {
  std::optional<size_t> reached;
  const leat_status status = c::guarded([&]() -> Result<void> {
    TRY(c::check_given(fences, "fences"));
    TRY(c::check_given(index, "index"));
    TRY(c::check_below(0, count, "Index of a fence"));
    std::vector<FencePoint> points;
    for (const leat_fence& fence : std::span(fences, count)) {
      TRY_ASSIGN(const FencePoint point, c::point_of(&fence));
      points.push_back(point);
    }
    TRY_ASSIGN(reached, wait_any(points, timeout_ns));
    if (reached) *index = *reached;
    return {};
  });
  return c::timed_out(status, reached.has_value());
}
