// See session.h.
#include "leat/run/session.h"

#include <fmt/format.h>

#include <algorithm>

namespace leat {

namespace {

std::vector<Shape> shapes_of(const Model& model) {
  std::vector<Shape> shapes;
  for (const ModelValue& input : model.inputs) shapes.push_back(input.shape);
  return shapes;
}

std::string text_of(std::span<const Shape> shapes) {
  std::string text;
  for (const Shape& shape : shapes) text += (text.empty() ? "" : ", ") + to_string(shape);
  return text;
}

}  // namespace

DeviceSource machine_devices(uint32_t threads) {
  DeviceSource source;
  source.open = [=](const std::string& spec, const DeviceCheck& check) {
    return open_device(spec, threads, check);
  };
  source.names = [] {
    std::vector<std::string> names;
    for (const FoundDevice& found : find_devices()) {
      if (found.refusal.empty() && !found.info.software) names.push_back(found.info.name);
    }
    return names;
  };
  source.next_route = [](const std::string& name) { return next_route(name); };
  return source;
}

// --- Session -------------------------------------------------------------------------------------

Result<std::unique_ptr<LoadedModel>> Session::load_from(Model model, LoadOptions options,
                                                        NetworkSource source) {
  std::unique_ptr<LoadedModel> loaded(
      new LoadedModel(*this, std::move(model), std::move(options), std::move(source)));
  TRY(loaded->check_states());
  TRY(loaded->find_device());
  return loaded;
}

Result<Session::OpenDevice*> Session::enter(const std::string& spec, const DeviceCheck& check) {
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<OpenDevice>& open : devices_) {
    if (open->spec != spec && open->device->info().name != spec) continue;
    ++open->models;
    return open.get();
  }
  auto opened = std::make_unique<OpenDevice>();
  TRY_ASSIGN(opened->device, options_.devices.open(spec, check));
  opened->chooser = std::make_unique<Chooser>(
      opened->device->target(),
      options_.choose_on ? options_.choose_on(*opened->device) : ChooseFunction());
  opened->spec = spec;
  opened->models = 1;
  devices_.push_back(std::move(opened));
  return devices_.back().get();
}

void Session::leave(OpenDevice& device, bool closes) {
  const std::lock_guard lock(mutex_);
  if (--device.models > 0 || !closes) return;
  std::erase_if(devices_, [&](const auto& open) { return open.get() == &device; });
}

std::vector<DeviceUse> Session::uses() {
  const std::lock_guard lock(mutex_);
  std::vector<DeviceUse> uses;
  for (const std::unique_ptr<OpenDevice>& open : devices_) {
    const std::lock_guard in_use(open->mutex);
    uses.push_back({open->device->info(), open->models, open->device->queue().counts()});
  }
  return uses;
}

// --- LoadedModel ---------------------------------------------------------------------------------

LoadedModel::LoadedModel(Session& session, Model model, LoadOptions options, NetworkSource source)
    : session_(session), options_(std::move(options)), source_(std::move(source)) {
  options_.network.cache_folder = session.options_.cache_folder;
  waits_ = options_.waits_for_shapes;
  for (const StatePair& pair : options_.states) states_.push_back({.pair = pair});
  std::vector<Shape> shapes = shapes_of(model);
  ready_.push_back({std::move(shapes), std::move(model), nullptr});
}

/// The device asked for, or the first that does not answer `unsupported`.
Result<void> LoadedModel::find_device() {
  Result<void> made = move_to(options_.device);
  const bool is_refused = !made && made.error().kind() == ErrorKind::unsupported;
  if (is_refused && options_.device.empty() && device_ != nullptr) made = move_on(made.error());
  if (made || made.error().kind() != ErrorKind::device_lost || device_ == nullptr) return made;
  return give_way(made.error());
}

Result<void> LoadedModel::move_to(const std::string& spec) {
  rescue_states();
  leave(true);
  TRY_ASSIGN(device_, session_.enter(spec, source_.check));
  return waits_ ? Result<void>() : make_ready();
}

/// The first device behind this one that does not answer `unsupported`.
Result<void> LoadedModel::move_on(Error reason) {
  const std::vector<std::string> names = session_.options_.devices.names();
  auto next = std::ranges::find(names, device().info().name);
  while (reason.kind() == ErrorKind::unsupported && next != names.end() && ++next != names.end()) {
    if (session_.options_.on_move) session_.options_.on_move(reason, *next);
    const Result<void> moved = move_to(*next);
    if (moved) return {};
    reason = moved.error();
  }
  return reason;
}

Result<void> LoadedModel::make_ready() {
  Ready& ready = ready_.back();
  TRY_ASSIGN(ready.network, make_network(ready.model, ready.shapes, !ready.model.rest));
  return {};
}

/// Nothing depends on its success: what it has not seen is compiled when it comes.
void LoadedModel::look_ahead(std::span<const Shape> shapes) {
  const std::vector<ShapeSets> groups = options_.foresee(shapes);
  for (; foreseen_group_ < groups.size(); ++foreseen_group_) {
    const ShapeSets& sets = groups[foreseen_group_];
    bool is_possible = false;
    for (const std::vector<Shape>& set : sets) {
      const Result<Model> model = options_.specialise(set);
      if (!model) continue;
      if (source_.look_ahead(device(), *model, network_options(false))) is_possible = true;
    }
    if (is_possible) return;
  }
}

void LoadedModel::leave(bool closes) {
  if (device_ == nullptr) return;
  {
    const std::lock_guard lock(device_->mutex);  // buffers are given back to the device
    for (Ready& ready : ready_) {
      ready.network.reset();
      ready.forget_parts();
    }
    shape_kernels_ = {};
    memory_ = {};
    state_memory_ = {};
  }
  ready_.erase(ready_.begin(), ready_.end() - 1);
  session_.leave(*device_, closes);
  device_ = nullptr;
}

/// `shapes`: of the model's inputs, where others may be foreseen from them; none for a part of one.
Result<std::unique_ptr<Network>> LoadedModel::make_network(const Model& model,
                                                           std::span<const Shape> shapes,
                                                           bool keeps_states) {
  const std::lock_guard lock(device_->mutex);
  NetworkOptions options = network_options(keeps_states);
  if (source_.look_ahead && options_.foresee && options_.specialise && !shapes.empty()) {
    options.look_ahead = [&] { look_ahead(shapes); };
  }
  return source_.make(device(), model, options);
}

NetworkOptions LoadedModel::network_options(bool keeps_states) {
  NetworkOptions options = options_.network;
  options.schedule.chooser = device_->chooser.get();
  if (options_.specialise || is_in_parts()) {
    options.shape_kernels = &shape_kernels_;
    options.memory = &memory_;
  }
  if (keeps_states) {
    options.states = options_.states;
    options.state_memory = &state_memory_;
  }
  return options;
}

Result<void> LoadedModel::check_ready() const {
  TRY(check_device());
  if (!waits_) return {};
  return Error(ErrorKind::invalid_argument,
               fmt::format("Model \"{}\" leaves shapes of its inputs open ({}): a run with inputs, "
                           "or their shapes, must come first.",
                           model().name, text_of(ready_.back().shapes)));
}

Result<void> LoadedModel::check_device() const {
  if (device_ != nullptr && (waits_ || ready_.back().network != nullptr)) return {};
  return Error(ErrorKind::device_lost,
               fmt::format("Model \"{}\" has no device left.", model().name));
}

Result<void> LoadedModel::take_shapes(std::span<const Shape> shapes) {
  if (shapes.size() != model().inputs.size()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Number of inputs ({}) is not the model's ({}).", shapes.size(),
                             model().inputs.size()));
  }
  if (waits_) return take_first_shapes(shapes);
  TRY(check_device());
  const auto known = std::ranges::find_if(
      ready_, [&](const Ready& ready) { return std::ranges::equal(ready.shapes, shapes); });
  if (known != ready_.end()) {
    if (known + 1 == ready_.end()) return {};
    std::rotate(known, known + 1, ready_.end());
    drop_placed();
    return {};
  }
  if (!options_.specialise) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Model \"{}\" takes inputs of shapes ({}); given are ({}).",
                             model().name, text_of(ready_.back().shapes), text_of(shapes)));
  }
  Ready ready;
  ready.shapes.assign(shapes.begin(), shapes.end());
  TRY_ASSIGN(ready.model, options_.specialise(shapes));
  TRY_ASSIGN(ready.network, make_network(ready.model, ready.shapes, !ready.model.rest));
  ready_.push_back(std::move(ready));
  drop_placed();
  if (ready_.size() <= options_.shapes_ready_max) return {};
  const std::lock_guard lock(device_->mutex);
  ready_.erase(ready_.begin());
  return {};
}

/// Of the network that was in use before, when it has memory of the caller's, which it may take
/// away now.
void LoadedModel::drop_placed() {
  const auto before = ready_.end() - 2;
  if (!before->network->has_placed()) return;
  const std::lock_guard lock(device_->mutex);
  ready_.erase(before);
}

Result<void> LoadedModel::choose_anew(
    const std::function<ChooseFunction(Device& device)>& choose_on) {
  TRY(check_ready());
  if (!source_.look_ahead) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Packed model \"{}\" is run as it was compiled.", model().name));
  }
  {
    const std::lock_guard lock(device_->mutex);
    Chooser chooser(device().target(), choose_on(device()));
    NetworkOptions options = options_.network;
    options.schedule.chooser = &chooser;
    TRY(source_.make(device(), model(), options));
    for (const Part* part : ready_.back().last_run) {
      TRY(source_.make(device(), part->model, options));
    }
    device_->chooser = std::make_unique<Chooser>(
        device().target(),
        session_.options_.choose_on ? session_.options_.choose_on(device()) : ChooseFunction());
    ready_.erase(ready_.begin(), ready_.end() - 1);
    ready_.back().network.reset();
    ready_.back().forget_parts();
    shape_kernels_ = {};
    memory_ = {};
  }
  return make_ready();
}

/// Makes a model that was to be made ready what it was before, unless it has become so.
class LoadedModel::WaitingAgain {
 public:
  explicit WaitingAgain(LoadedModel& model)
      : model_(model), shapes_(model.ready_.back().shapes), waiting_(model.ready_.back().model) {}
  WaitingAgain(const WaitingAgain&) = delete;
  WaitingAgain& operator=(const WaitingAgain&) = delete;
  ~WaitingAgain() {
    if (is_dismissed_) return;
    model_.waits_ = true;
    model_.leave(true);
    model_.ready_.back() = {std::move(shapes_), std::move(waiting_), nullptr};
  }
  void dismiss() { is_dismissed_ = true; }

 private:
  LoadedModel& model_;
  std::vector<Shape> shapes_;
  Model waiting_;  // without a graph
  bool is_dismissed_ = false;
};

/// What fails leaves it waiting, for shapes that fit, on the device that it had first.
Result<void> LoadedModel::take_first_shapes(std::span<const Shape> shapes) {
  if (device_ == nullptr) TRY(move_to(options_.device));
  TRY_ASSIGN(Model first, options_.specialise(shapes));
  WaitingAgain otherwise(*this);
  ready_.back().model = std::move(first);
  ready_.back().shapes.assign(shapes.begin(), shapes.end());
  waits_ = false;
  Result<void> made = make_ready();
  const bool is_refused = !made && made.error().kind() == ErrorKind::unsupported;
  if (is_refused && options_.device.empty()) made = find_device();
  if (!made && made.error().kind() == ErrorKind::device_lost) made = give_way(made.error());
  if (made) otherwise.dismiss();
  return made;
}

Result<StartedRun> LoadedModel::start(size_t slot) {
  TRY(check_ready());
  TRY(check_whole("be started on what lies in place"));
  const std::lock_guard lock(device_->mutex);
  TRY(place_states());
  TRY_ASSIGN(const uint64_t value, network().start(slot));
  keep_states({});
  const FencePoint end = {&device().queue().fence(), value};
  states_made_ = end;
  return StartedRun{end};
}

Result<void> LoadedModel::give_way(Error reason) {
  const bool is_route_named = options_.device.find(':') != std::string::npos;
  while (device_ != nullptr && reason.kind() == ErrorKind::device_lost) {
    const std::optional<std::string> next =
        session_.options_.devices.next_route(device().info().name);
    if (!next) break;
    if (is_route_named) {
      return Error(ErrorKind::device_lost,
                   fmt::format("{} Device \"{}\" is the next route.", reason.message(), *next));
    }
    if (session_.options_.on_move) session_.options_.on_move(reason, *next);
    const Result<void> moved = move_to(*next);
    if (moved) return {};
    reason = moved.error();
  }
  return reason;
}

}  // namespace leat
