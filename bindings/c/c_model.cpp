// Models: loading, and what can be asked of them.
#include "bindings/c/c_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <string_view>
#include <utility>

#include "leat/model/onnx_import.h"
#include "leat/run/tuning.h"

namespace leat::c {

namespace {

const std::string kNoRefusal;

Result<ImportOptions> known_of(const leat_load_options& options, const OnnxModel& file) {
  ImportOptions known;
  if (options.known_count > 0) TRY(check_given(options.known, "known"));
  for (const leat_known_input& input : std::span(options.known, options.known_count)) {
    TRY(check_given(input.name, "name of a known input"));
    const auto declared = std::ranges::find(file.inputs(), input.name, &DeclaredInput::name);
    if (declared == file.inputs().end()) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("The model has no input \"{}\".", input.name));
    }
    const std::string what = fmt::format("known input \"{}\"", input.name);
    TRY_ASSIGN(TensorFacts facts, shape_facts_of(input.value, what));
    if (input.value.data != nullptr) {
      TRY_ASSIGN(known.input_values[input.name], value_of(input.value, what));
    }
    known.input_shapes[input.name] = std::move(facts.shape);
  }
  return known;
}

/// The same model for other shapes of the inputs of these names.
auto specialiser(std::shared_ptr<const OnnxModel> file, ImportOptions known,
                 const std::vector<ModelValue>& inputs) {
  std::vector<std::string> names;
  for (const ModelValue& input : inputs) names.push_back(input.name);
  return [file = std::move(file), known = std::move(known),
          names = std::move(names)](std::span<const Shape> shapes) {
    ImportOptions options = known;
    for (size_t i = 0; i < names.size(); ++i) options.input_shapes[names[i]] = shapes[i];
    return file->specialised(options);
  };
}

/// Whether an extent that nobody has told is more than a number of pictures: those stand first, and
/// one is a good guess.
bool leaves_shapes_open(const OnnxModel& file, const ImportOptions& known) {
  if (!known.input_values.empty()) return false;  // which inputs are left, the import says
  return std::ranges::any_of(file.inputs(), [&](const DeclaredInput& input) {
    if (known.input_shapes.contains(input.name)) return false;
    const auto inner = std::views::drop(input.extents, 1);
    return !input.has_rank || std::ranges::any_of(inner, &DeclaredInput::Extent::is_open);
  });
}

/// What the model's inputs may be like when they are of these shapes: extents that the file leaves
/// open and that are not 1 are larger, all by the same number, so that what is a sum of others
/// stays one; and, those of one name alike, by several, since a square is treated as such. Halving
/// such numbers some times, as networks do, changes them.
class Foresight {
 public:
  Foresight(std::shared_ptr<const OnnxModel> file, const std::vector<ModelValue>& inputs)
      : file_(std::move(file)) {
    for (const ModelValue& input : inputs) {
      auto found = std::ranges::find(file_->inputs(), input.name, &DeclaredInput::name);
      if (found == file_->inputs().end()) {
        found = std::ranges::find(file_->default_inputs(), input.name, &DeclaredInput::name);
      }
      declared_.push_back(&*found);
    }
  }

  std::vector<ShapeSets> operator()(std::span<const Shape> shapes) const {
    std::vector<ShapeSets> groups;
    for (const int64_t more : {160, 32, 8, 1}) {
      ShapeSets sets = {grown(shapes, more, more)};
      if (std::ranges::equal(sets[0], shapes)) return {};
      if (grown(shapes, more, 0) != sets[0]) {
        sets.push_back(grown(shapes, more, 2 * more));
        sets.push_back(grown(shapes, 2 * more, more));
      }
      groups.push_back(std::move(sets));
    }
    return groups;
  }

 private:
  /// The first name's extents by `first`, the next one's by `second`, and so on.
  std::vector<Shape> grown(std::span<const Shape> shapes, int64_t first, int64_t second) const {
    std::vector<Shape> others(shapes.begin(), shapes.end());
    std::vector<std::string> symbols;
    for (size_t i = 0; i < others.size(); ++i) {
      for (size_t d = 0; d < others[i].size(); ++d) {
        const bool is_open = !declared_[i]->has_rank || declared_[i]->extents[d].is_open;
        if (!is_open || others[i][d] <= 1) continue;
        const std::string symbol = declared_[i]->has_rank ? declared_[i]->extents[d].symbol : "";
        const auto known = std::ranges::find(symbols, symbol);
        const auto place =
            symbol.empty() ? symbols.size() : static_cast<size_t>(known - symbols.begin());
        if (known == symbols.end() || symbol.empty()) symbols.push_back(symbol);
        others[i][d] += place % 2 == 0 ? first : second;
      }
    }
    return others;
  }

  std::shared_ptr<const OnnxModel> file_;
  std::vector<const DeclaredInput*> declared_;
};

Result<std::unique_ptr<leat_model>> load(leat_session* session, Result<OnnxModel> read,
                                         const leat_load_options* given) {
  TRY_ASSIGN(OnnxModel parsed, std::move(read));
  const auto file = std::make_shared<const OnnxModel>(std::move(parsed));
  TRY_ASSIGN(const leat_load_options options, read_struct(given, "leat_load_options"));
  TRY_ASSIGN(const ImportOptions known, known_of(options, *file));
  const bool waits = leaves_shapes_open(*file, known);
  Result<Model> tried = file->specialised(known);
  // Extents of 1 may be too small for it; what it lacks altogether is said at once.
  const bool is_refused = !tried && (!waits || tried.error().kind() == ErrorKind::unsupported);
  if (is_refused) return tried.error();
  Model model = waits ? file->declared(known.input_shapes) : std::move(*tried);
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
  loading.network.schedule.strict = options.is_strict != 0;
  loading.network.times = options.takes_times != 0;
  loading.specialise = specialiser(file, known, model.inputs);
  if (options.is_fixed == 0) loading.foresee = Foresight(file, model.inputs);
  loading.waits_for_shapes = waits;
  TRY_ASSIGN(made->loaded, made->session->session.load(std::move(model), std::move(loading)));
  return made;
}

Result<leat_value_info> value_info_of(const std::vector<ModelValue>& values, size_t index,
                                      const char* what) {
  TRY(check_below(index, values.size(), what));
  const ModelValue& value = values[index];
  leat_tensor tensor{};
  describe(value.dtype, value.shape, tensor);
  leat_value_info info{};
  info.name = value.name.c_str();
  info.type = tensor.type;
  info.rank = tensor.rank;
  std::ranges::copy(tensor.shape, info.shape);
  const bool is_known = std::ranges::none_of(value.shape, [](int64_t n) { return n < 0; });
  info.size_bytes = is_known ? tensor.size_bytes : 0;
  return info;
}

Result<void> check_model(const leat_model* model) {
  TRY(check_given(model, "model"));
  return model->loaded->check_ready();
}

constexpr double kKernelSeconds = 0.1;
constexpr double kKernelSecondsMax = 3600;

Result<leat_tune_result> tune(leat_model& model, const leat_tune_options& options) {
  const double seconds = options.kernel_seconds == 0 ? kKernelSeconds : options.kernel_seconds;
  if (!(seconds > 0 && seconds <= kKernelSecondsMax)) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Seconds for each kernel ({}) are not above 0 and up to {}.", seconds,
                             kKernelSecondsMax));
  }
  if (model.session->cache_folder.empty()) {
    return Error(ErrorKind::invalid_argument,
                 "The session keeps no cache, and so nothing that tuning finds.");
  }
  TRY(TuneStore::open(model.session->cache_folder));
  leat_tune_result result{};
  TuningOptions tuning;
  tuning.cache_folder = model.session->cache_folder;
  tuning.measures = true;
  tuning.again = options.is_again != 0;
  tuning.limits.seconds = seconds;
  tuning.on_choice = [&](const TunedKernel& kernel) {
    ++result.kernels;
    if (kernel.source == ChoiceSource::measured) ++result.measured;
    if (kernel.seconds <= 0 || kernel.model_seconds <= 0) return;
    result.model_us += kernel.model_seconds * 1e6;
    result.tuned_us += kernel.seconds * 1e6;
  };
  TRY(model.loaded->choose_anew(tuned_choices(std::move(tuning))));
  return result;
}

}  // namespace

}  // namespace leat::c

using namespace leat;

leat_status leat_model_load(leat_session* session, const char* path,
                            const leat_load_options* options, leat_model** model) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(path, "path"));
    TRY(c::check_given(model, "model"));
    TRY_ASSIGN(auto made, c::load(session, OnnxModel::read(path), options));
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
    TRY_ASSIGN(auto made, c::load(session, OnnxModel::parse(text, name), options));
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
               c::value_info_of(model->loaded->model().inputs, index, "Index of an input"));
    return c::write_struct(told, info, "leat_value_info");
  });
}

leat_status leat_model_output(const leat_model* model, size_t index, leat_value_info* info) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_given(model, "model"));
    TRY_ASSIGN(const leat_value_info told,
               c::value_info_of(model->loaded->model().outputs, index, "Index of an output"));
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
    const NetworkStats& own = model->loaded->network().stats();
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
    return c::write_struct(told, stats, "leat_model_stats");
  });
}

leat_status leat_model_profile(leat_model* model, leat_kernel_time* times, size_t capacity,
                               size_t* count) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_model(model));
    TRY(c::check_given(count, "count"));
    if (capacity > 0) TRY(c::check_given(times, "times"));
    TRY_ASSIGN(model->profile,
               model->loaded->alone([](Network& network) { return network.profile(); }));
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
    TRY_ASSIGN(const SlotTimes times,
               model->loaded->alone([&](Network& network) { return network.slot_times(slot); }));
    *begin_ns = times.begin_ns;
    *end_ns = times.end_ns;
    return {};
  });
}

leat_status leat_model_tune(leat_model* model, const leat_tune_options* options,
                            leat_tune_result* result) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_model(model));
    TRY_ASSIGN(const leat_tune_options own, c::read_struct(options, "leat_tune_options"));
    TRY_ASSIGN(const leat_tune_result told, c::tune(*model, own));
    return result == nullptr ? Result<void>() : c::write_struct(told, result, "leat_tune_result");
  });
}

leat_status leat_model_give_way(leat_model* model) {
  return c::guarded([&]() -> Result<void> {
    TRY(c::check_model(model));
    return model->loaded->give_way(
        Error(ErrorKind::device_lost,
              "The caller gave Device \"" + model->loaded->device().info().name + "\" up."));
  });
}
