// Session: the devices that a program has open, and the models made ready on them. What stands on
// Leat (the command line, a service, bindings) makes one, loads models into it and runs them.
//
// It owns the devices, each used only after its self-test, and decides what a caller should not
// have to: which device takes a model when none is named, where work goes that a route has lost,
// and what a model needs when the shapes of its inputs change.
//
// A device is used by one thread at a time, so each has a lock: it is held while a run is started,
// and not while it is waited for. So any thread may load models and start runs; one at a time uses
// one slot of a model, or does anything else with it.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "leat/backend/backends.h"
#include "leat/device/device.h"
#include "leat/pack/packed_model.h"
#include "leat/run/network.h"
#include "leat/run/state_memory.h"
#include "leat/schedule/chooser.h"
#include "leat/tensor/model.h"

namespace leat {

/// Sets of input shapes for which one model stays ready. They share weights and activations.
inline constexpr size_t kShapesReadyMax = 16;
/// Parts of a model, behind its first (Model::rest), that stay ready for a set of input shapes
/// beside those of the last run.
inline constexpr size_t kPartsReadyMax = 32;

/// Where devices come from. Tests hand in others than machine_devices().
struct DeviceSource {
  /// Opens a device and holds it to the check, its self-test. "": the best one.
  std::function<Result<std::unique_ptr<Device>>(const std::string& spec, const DeviceCheck& check)>
      open;
  /// What may be tried when none is named, best first.
  std::function<std::vector<std::string>()> names;
  /// The route to the same chip after that one; nothing after the last.
  std::function<std::optional<std::string>(const std::string& name)> next_route;
};

/// This machine's. `threads` is for the cpu device, 0 takes all.
DeviceSource machine_devices(uint32_t threads);

struct SessionOptions {
  DeviceSource devices;
  /// Of compiled kernels, those of the self-test too; empty: none is read or written.
  std::string cache_folder;
  /// Makes who chooses the parameters of kernels on a device, which remembers what was chosen for
  /// it. It may use the device, whose lock is held then. Empty: the analytic model.
  std::function<ChooseFunction(Device& device)> choose_on;
  /// Told why a device gives way, and to which. May be empty.
  std::function<void(const Error& reason, const std::string& next)> on_move;
};

/// Some sets of a model's input shapes.
using ShapeSets = std::vector<std::vector<Shape>>;

struct LoadOptions {
  /// "cpu", "gpu0", "gpu0:vulkan"; empty: the best that takes the model.
  std::string device;
  /// Slots, receipts, deadline and so on; cache folder and chooser are the session's.
  NetworkOptions network;
  /// Makes the model for other shapes of its inputs. Empty: it has those of `Model` only.
  std::function<Result<Model>(std::span<const Shape> shapes)> specialise;
  /// Other shapes that may come when the model has these: groups of sets of which the first is
  /// taken that has one that the model can have. Numbers that are others there come with the launch
  /// from the start, so that most new shapes need no other kernels. May be empty.
  std::function<std::vector<ShapeSets>(std::span<const Shape> shapes)> foresee;
  /// Outputs whose values inputs have in the next run: they stay on the device, where it can have
  /// them so. Each output and each input is in one pair at most.
  std::vector<StatePair> states;
  /// Shapes that the inputs may have at the first run, best first, from those that are known: for
  /// states that nobody gives then, which are zeros. Empty: those that the model has.
  std::function<ShapeSets(std::span<const std::optional<Shape>> shapes)> first_shapes;
  /// The model's shapes are only what its file declares: it is made ready by the first that come.
  /// With `specialise`.
  bool waits_for_shapes = false;
  size_t shapes_ready_max = kShapesReadyMax;  // at least 1
};

/// Where a model's networks come from.
struct NetworkSource {
  /// Whether a device that is to be opened can be used.
  DeviceCheck check;
  std::function<Result<std::unique_ptr<Network>>(Device& device, const Model& model,
                                                 const NetworkOptions& options)>
      make;
  /// Network::look_ahead; empty, where nothing is compiled.
  std::function<Result<void>(Device& device, const Model& model, const NetworkOptions& options)>
      look_ahead;
};
/// They are compiled. The check is the self-test, whose kernels are kept in `cache_folder`.
NetworkSource compiled_networks(const std::string& cache_folder);
/// They are those of the pack, which has its own self-test.
NetworkSource packed_networks(std::shared_ptr<const Pack> pack);

/// A run that was started. Any thread may look and wait; it must not outlive its model.
struct StartedRun {
  FencePoint point;

  bool done() const { return point.reached(); }
  /// False at the deadline, which is no error. Errors: device_lost.
  Result<bool> wait(uint64_t timeout_ns) const {
    return point.fence->wait(point.value, timeout_ns);
  }
};

/// What a device of a session is used for.
struct DeviceUse {
  DeviceInfo info;
  size_t users = 0;  // models and kernels that are ready on it
  Queue::Counts counts;
};

/// No value at all, where one may be left out.
inline bool is_nothing(const HostTensor& value) {
  return value.bytes.empty() && element_count(value.shape) > 0;
}

class LoadedModel;

class Session {
 public:
  /// Opens nothing yet.
  explicit Session(SessionOptions options) : options_(std::move(options)) {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Makes the model ready on the device named, or on the first that does not answer `unsupported`.
  /// What is loaded dies before the session.
  /// Errors: those of the device named, or of the last one tried.
  Result<std::unique_ptr<LoadedModel>> load(Model model, LoadOptions options = {});
  /// The same of a packed model, on a device that it has kernels for; its shapes are what they are.
  Result<std::unique_ptr<LoadedModel>> load(std::shared_ptr<const Pack> pack,
                                            LoadOptions options = {});

  /// Of each device that is open. Waits for who uses it at the moment. Any thread.
  std::vector<DeviceUse> uses();

 private:
  friend class LoadedModel;
  friend class SessionKernel;
  /// Open until the session ends, or until its last model leaves it.
  struct OpenDevice {
    std::string spec;  // as it was asked for
    std::unique_ptr<Device> device;
    std::unique_ptr<Chooser> chooser;  // for this device's target
    std::mutex mutex;                  // held by who uses the device
    size_t models = 0;
  };

  Result<std::unique_ptr<LoadedModel>> load_from(Model model, LoadOptions options,
                                                 NetworkSource source);
  Result<OpenDevice*> enter(const std::string& spec, const DeviceCheck& check);
  void leave(OpenDevice& device, bool closes);

  SessionOptions options_;
  std::mutex mutex_;  // of devices_
  std::vector<std::unique_ptr<OpenDevice>> devices_;
};

/// A model that is ready on a device of a session.
class LoadedModel {
 public:
  LoadedModel(const LoadedModel&) = delete;
  LoadedModel& operator=(const LoadedModel&) = delete;
  ~LoadedModel() { leave(false); }

  /// For the shapes and on the device that it is ready for now. What they refer to changes with
  /// run(), take_shapes() and give_way(); there is none once those have said that no device is
  /// left.
  const Model& model() const { return ready_.back().model; }
  Network& network() const { return *ready_.back().network; }
  Device& device() const { return *device_->device; }
  /// Errors: device_lost, once its last device is lost; invalid_argument, while it waits for
  /// shapes.
  Result<void> check_ready() const;
  /// Errors: device_lost, once its last device is lost.
  Result<void> check_device() const;

  /// What `act(network())` answers, with the device to itself: for what uses the queue, or makes or
  /// frees memory, beside a run. The model is ready.
  template <typename Act>
  auto alone(const Act& act) {
    const std::lock_guard lock(device_->mutex);
    return act(network());
  }

  /// Whether it runs in parts (Model::rest): by run() alone, not by what starts network().
  bool is_in_parts() const { return bool(model().rest); }
  /// Errors: unsupported, when it is; `what` cannot be done: "be read in place".
  Result<void> check_whole(std::string_view what) const;
  /// The networks of the last run, part by part.
  std::vector<Network*> networks() const;
  /// Of them all; memory that they share counts once.
  NetworkStats stats() const;
  /// See Network; of a model in parts, from the begin of the first to the end of the last one.
  Result<SlotTimes> slot_times(size_t slot);
  /// Parts that are ready behind the first.
  size_t parts_ready() const { return ready_.back().parts.size(); }

  /// Runs once in slot 0 and waits, with the device to itself; one value for each of Model::inputs,
  /// results in the order of Model::outputs. For other shapes it is made ready first, and a route
  /// that loses the work twice gives way to the next; a device that does not take a later part, to
  /// the next that takes all, where none was named. An input that is a state may be nothing
  /// (is_nothing): then it has the value that the last run left, at first zeros; outputs that are
  /// states are nothing, too. Errors: invalid_argument, when a value does not fit; those of
  /// devices.
  Result<std::vector<HostTensor>> run(std::span<const HostTensor> inputs);
  /// What run() does before: makes it ready for these shapes, so that model().outputs tells those
  /// of the outputs. Errors: as there.
  Result<void> take_shapes_of(std::span<const HostTensor> inputs);

  /// With states it is run, and asked for them, by one thread at a time.
  size_t state_count() const { return states_.size(); }
  const StatePair& state_pair(size_t state) const { return states_[state].pair; }
  /// What the next run will read. No run is in flight. Errors: invalid_argument, before it has a
  /// value; device_lost.
  Result<HostTensor> state(size_t state);
  /// Errors: invalid_argument, when the value is none of the input's type.
  Result<void> set_state(size_t state, HostTensor value);
  /// As before the first run.
  void forget_states();

  /// Starts a run on the slot's inputs, which the caller has written where they lie
  /// (Network::input_view). Takes no memory, unless states have grown since. At most one run of
  /// each slot is in flight. Errors: unsupported, for a model in parts, and for one with a state
  /// that is not kept on the device; invalid_argument, when a state has no value, or outgrew the
  /// shapes.
  Result<StartedRun> start(size_t slot = 0);

  /// Makes it ready for other shapes of its inputs; no run is in flight. The last kShapesReadyMax
  /// are kept. Errors: invalid_argument, when it cannot have them.
  Result<void> take_shapes(std::span<const Shape> shapes);

  /// Makes it ready anew by who chooses now, after it was chosen once by `choose_on`, which may
  /// measure and keep what it finds; in parts, for those of the last run. No run is in flight;
  /// other shapes are forgotten. Errors: those of choosing, and then the model stays as it is;
  /// those of devices.
  Result<void> choose_anew(const std::function<ChooseFunction(Device& device)>& choose_on);

  /// Leaves the device, which has lost work for this reason, and makes the model ready on the
  /// chip's next route. Inputs must be written anew. Errors: the reason, when there is none or the
  /// route was named; those of the next routes.
  Result<void> give_way(Error reason);

 private:
  friend class Session;
  /// A part of a model behind its first.
  struct Part {
    uint64_t number = 0;    // in the order in which they were made, from 1
    uint64_t previous = 0;  // the part before; 0: the first
    std::string key;        // NextPart::key, there
    Model model;
    std::unique_ptr<Network> network;
  };
  /// The model for some shapes: all of it, or its first part.
  struct Ready {
    std::vector<Shape> shapes;
    Model model;
    std::unique_ptr<Network> network;
    std::vector<std::unique_ptr<Part>> parts = {};  // in the order of their last use
    std::vector<const Part*> last_run = {};         // the last ones of them
    uint64_t parts_made = 0;

    void forget_parts();
  };

  LoadedModel(Session& session, Model model, LoadOptions options, NetworkSource source);
  Result<void> find_device();
  Result<void> move_to(const std::string& spec);
  Result<void> move_on(Error reason);
  void leave(bool closes);
  Result<std::unique_ptr<Network>> make_network(const Model& model, std::span<const Shape> shapes,
                                                bool keeps_states);
  Result<void> make_ready();
  class WaitingAgain;
  Result<void> take_first_shapes(std::span<const Shape> shapes);
  void drop_placed();
  void look_ahead(std::span<const Shape> shapes);
  NetworkOptions network_options(bool keeps_states);
  Result<std::vector<HostTensor>> run_here(std::span<const HostTensor> inputs);
  Result<std::vector<HostTensor>> run_network(Network& network, const Model& model,
                                              std::span<const HostTensor> inputs);
  Result<const Part*> part_of(const NextPart& next);
  void forget_old_parts();
  Result<void> find_taker(const Error& reason);

  // session_states.cpp
  /// A value that goes from run to run.
  struct State {
    StatePair pair;
    bool is_set = false;
    bool is_on_device = false;   // in state_memory_, else in `value`
    bool is_lost = false;        // with its device
    Shape shape;                 // where it is set
    DType storage = DType::f32;  // on the device
    HostTensor value;
  };
  Result<void> check_states() const;
  Result<void> check_states_there() const;
  State* state_of_input(size_t input);
  void take_values(std::span<const HostTensor> inputs);
  Result<void> wait_for_states();
  Result<void> take_missing_shapes(std::span<const std::optional<Shape>> shapes);
  Result<std::vector<HostTensor>> values_of_run(std::span<const HostTensor> inputs);
  Result<void> place_states();
  void keep_states(std::span<HostTensor> outputs);
  void rescue_states();
  Result<HostTensor> read_state(const State& state, size_t number);

  Session& session_;
  LoadOptions options_;
  NetworkSource source_;
  Session::OpenDevice* device_ = nullptr;
  ShapeKernels shape_kernels_;             // on device_; they outlive the networks of ready_
  ModelMemory memory_;                     // the same
  StateMemory state_memory_;               // the same
  std::vector<State> states_;              // one for each of LoadOptions::states
  std::optional<FencePoint> states_made_;  // the end of the last start(), which writes them
  /// The last one is in use; all are on device_, or it waits for shapes.
  std::vector<Ready> ready_;
  bool waits_ = false;
  bool is_part_refused_ = false;    // by the device, in the last run
  std::optional<SlotTimes> times_;  // of the last run in slot 0, where they are taken
  size_t foreseen_group_ = 0;       // of `foresee`, the first that may work
};

}  // namespace leat
