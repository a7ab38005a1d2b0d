// Models: loading, and what can be asked of them.
#include "bindings/c/c_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "leat/pack/packed_model.h"
#include "leat/run/state_pairs.h"

namespace leat::c {

namespace {

const std::string kNoRefusal;

bool is_packed(const ModelFile& file) {
  return file.bytes ? Pack::is_pack(*file.bytes) : is_pack_file(file.path);
}

Result<std::unique_ptr<LoadedModel>> load_packed(Session& session, const ModelFile& file,
                                                 const leat_load_options& options,
                                                 LoadOptions loading) {
  if (options.known_count > 0 || options.is_strict != 0 ||
      loading.network.schedule.precision != Precision::f32) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Packed model \"{}\" is loaded as it was compiled, without known "
                             "inputs, is_strict and precision.",
                             file.path));
  }
  TRY_ASSIGN(std::shared_ptr<const Pack> pack,
             file.bytes ? Pack::parse(*file.bytes, file.path) : Pack::read(file.path));
  TRY_ASSIGN(loading.states, states_of(options, pack->model()));
  return session.load(std::move(pack), std::move(loading));
}

Result<std::unique_ptr<leat_model>> load(leat_session* session, const ModelFile& file,
                                         const leat_load_options* given) {
  TRY_ASSIGN(const leat_load_options options, read_struct(given, "leat_load_options"));
  auto made = std::make_unique<leat_model>();
  if (session != nullptr) {
    made->session = session->state;
  } else {
    TRY_ASSIGN(made->session, make_session(nullptr));
  }
  LoadOptions loading;
  loading.device = options.device == nullptr ? made->session->device : options.device;
  loading.network.deadline_ns = options.deadline_ns;
  loading.network.slots = std::max(options.slots, 1u);
  if (loading.network.slots > kSlotsMax) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Number of slots ({}) is larger than the limit ({}).",
                             loading.network.slots, kSlotsMax));
  }
  loading.network.times = options.takes_times != 0;
  TRY_ASSIGN(loading.network.schedule.precision,
             parse_precision(options.precision == nullptr ? "" : options.precision));
  const auto load_as = is_packed(file) ? load_packed : load_compiled;
  TRY_ASSIGN(made->loaded, load_as(made->session->session, file, options, std::move(loading)));
  return made;
}

/// `is_said`: the file's word for a tensor that is not there yet is not taken for its size.
Result<leat_value_info> value_info_of(const std::vector<ModelValue>& values, size_t index,
                                      const char* what, bool is_said) {
  TRY(check_below(index, values.size(), what));
  const ModelValue& value = values[index];
  leat_tensor tensor{};
  describe(value.dtype, value.shape, tensor);
  leat_value_info info{};
  info.name = value.name.c_str();
  info.type = tensor.type;
  info.rank = tensor.rank;
  std::ranges::copy(tensor.shape, info.shape);
  const bool is_known = std::ranges::none_of(value.shape, [](int64_t n) { return n < 0; }) &&
                        !(is_said && value.tensor == kNoTensor);
  info.size_bytes = is_known ? tensor.size_bytes : 0;
  return info;
}

Result<std::vector<KernelTime>> profile(const leat_model& model) {
  std::vector<KernelTime> times;
  for (Network* network : model.loaded->networks()) {
    TRY_ASSIGN(const std::vector<KernelTime> own, network->profile());
    times.insert(times.end(), own.begin(), own.end());
  }
  return times;
}

}  // namespace

Result<std::vector<StatePair>> states_of(const leat_load_options& options, const Model& model) {
  if (options.state_count > 0) TRY(check_given(options.states, "states"));
  std::vector<std::string> texts;
  for (const char* text : std::span(options.states, options.state_count)) {
    TRY(check_given(text, "text of a state"));
    texts.emplace_back(text);
  }
  return match_states(texts, model);
}

Result<void> check_model(const leat_model* model) {
  TRY(check_given(model, "model"));
  return model->loaded->check_ready();
}

}  // namespace leat::c

using namespace leat;

leat_status leat_model_load(leat_session* session, const char* path,
                            const leat_load_options* options, leat_model** model) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(path, "path"));
    TRY(c::check_given(model, "model"));
    TRY_ASSIGN(auto made, c::load(session, {path, std::nullopt}, options));
    *model = made.release();
    return {};
  });
}

leat_status leat_model_load_memory(leat_session* session, const void* bytes, size_t size_bytes,
                                   const char* name, const leat_load_options* options,
                                   leat_model** model) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(bytes, "bytes"));
    TRY(c::check_given(name, "name"));
    TRY(c::check_given(model, "model"));
    const std::string_view text(static_cast<const char*>(bytes), size_bytes);
    TRY_ASSIGN(auto made, c::load(session, {name, text}, options));
    *model = made.release();
    return {};
  });
}

void leat_model_close(leat_model* model) { delete model; }

size_t leat_model_input_count(const leat_model* model) {
  return model == nullptr ? 0 : model->loaded->model().inputs.size();
}

size_t leat_model_output_count(const leat_model* model) {
  return model == nullptr ? 0 : model->loaded->model().outputs.size();
}

leat_status leat_model_input(const leat_model* model, size_t index, leat_value_info* info) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY_ASSIGN(const leat_value_info told,
               c::value_info_of(model->loaded->model().inputs, index, "Index of an input", false));
    return c::write_struct(told, info, "leat_value_info");
  });
}

leat_status leat_model_output(const leat_model* model, size_t index, leat_value_info* info) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY_ASSIGN(const leat_value_info told,
               c::value_info_of(model->loaded->model().outputs, index, "Index of an output",
                                model->loaded->is_in_parts()));
    return c::write_struct(told, info, "leat_value_info");
  });
}

leat_status leat_model_device(const leat_model* model, leat_device_info* info) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY(model->loaded->check_device());
    const DeviceInfo& device = model->loaded->device().info();
    return c::write_struct(c::info_of(device, c::kNoRefusal), info, "leat_device_info");
  });
}

leat_status leat_model_set_shapes(leat_model* model, const leat_tensor* inputs,
                                  size_t input_count) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    if (input_count > 0) TRY(c::check_given(inputs, "inputs"));
    const size_t wanted = model->loaded->model().inputs.size();
    if (input_count != wanted) {
      return Error(
          ErrorKind::invalid_argument,
          fmt::format("Number of inputs ({}) is not the model's ({}).", input_count, wanted));
    }
    std::vector<Shape> shapes;
    for (size_t i = 0; i < input_count; ++i) {
      TRY_ASSIGN(c::TensorFacts facts, c::shape_facts_of(inputs[i], fmt::format("input {}", i)));
      shapes.push_back(std::move(facts.shape));
    }
    return model->loaded->take_shapes(shapes);
  });
}

leat_status leat_model_get_stats(const leat_model* model, leat_model_stats* stats) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_model(model));
    const NetworkStats own = model->loaded->stats();
    leat_model_stats told{};
    told.kernels = own.kernels;
    told.compiled = own.compiled;
    told.reserved_bytes = own.reserved_bytes;
    told.copied_bytes = own.copies.hot_bytes();
    told.staged_bytes = own.copies.staged_bytes();
    told.compile_ms = own.compile_ms;
    told.launches = own.launches;
    told.tensor_bytes = own.tensor_bytes;
    told.repeated_runs = own.repeated_runs;
    told.products = own.products.all;
    told.rounded_products = own.products.rounded;
    return c::write_struct(told, stats, "leat_model_stats");
  });
}

leat_status leat_model_profile(leat_model* model, leat_kernel_time* times, size_t capacity,
                               size_t* count) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_model(model));
    TRY(c::check_given(count, "count"));
    if (capacity > 0) TRY(c::check_given(times, "times"));
    TRY_ASSIGN(model->profile, model->loaded->alone([&](Network&) { return c::profile(*model); }));
    *count = model->profile.size();
    for (size_t i = 0; i < std::min(capacity, *count); ++i) {
      const KernelTime& time = model->profile[i];
      times[i] = {time.name.c_str(), time.op.c_str(), time.flop, time.bytes, time.time_ns};
    }
    return {};
  });
}

leat_status leat_model_run_times(leat_model* model, size_t slot, uint64_t* begin_ns,
                                 uint64_t* end_ns) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_model(model));
    TRY(c::check_given(begin_ns, "begin_ns"));
    TRY(c::check_given(end_ns, "end_ns"));
    TRY(c::check_below(slot, model->loaded->network().slot_count(), "Slot"));
    if (!model->loaded->network().has_times()) {
      return Error(ErrorKind::invalid_argument, "The model was loaded without takes_times.");
    }
    TRY_ASSIGN(const SlotTimes times, model->loaded->slot_times(slot));
    *begin_ns = times.begin_ns;
    *end_ns = times.end_ns;
    return {};
  });
}

leat_status leat_model_give_way(leat_model* model) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY(model->loaded->check_device());
    return model->loaded->give_way(
        Error(ErrorKind::device_lost,
              "The caller gave Device \"" + model->loaded->device().info().name + "\" up."));
  });
}
