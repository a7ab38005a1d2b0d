// Network: an op graph made ready on one device, and the spine that leads a tensor through it:
// schedule, lower, emit (or the cache), load, record once; then every run is one replayed submit.
// Two ways lead here: a graph is compiled (network_compile.cpp), a RunPlan has its kernels already
// (network.cpp, which needs no compiler).
#pragma once

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "leat/device/device.h"
#include "leat/pack/run_plan.h"
#include "leat/run/model_memory.h"
#include "leat/run/shape_kernels.h"
#include "leat/run/state_memory.h"
#include "leat/schedule/schedule.h"

namespace leat {

/// Each slot has two of the queue's time slots.
inline constexpr uint32_t kSlotsMax = Queue::kTimeSlots / 2;

struct NetworkOptions {
  ScheduleOptions schedule;
  /// Of kernels, for nothing else: made for this user alone (0700), or closed to others. Empty, or
  /// one that others can write (private_folder.h): no cache is read or written.
  std::string cache_folder;
  /// Where graph inputs and outputs lie. Shared ones are written by the host in place; device ones
  /// are staged, which benchmarks of kernels want.
  MemoryKind external_memory = MemoryKind::shared;
  /// Sets of inputs and outputs, so that the host fills one while the device computes another. They
  /// share weights, kernels and the arena of activations.
  uint32_t slots = 1;  // up to kSlotsMax
  /// Each run ends with a copy of its slot's ticket, which shows that it has really come to its end
  /// whatever the fence says.
  bool receipts = false;
  /// Each run takes the device's time at its begin and end: slot_times().
  bool times = false;
  /// Of the model, for networks of other shapes; lives longer than they. Null: every kernel is made
  /// for just this network.
  ShapeKernels* shape_kernels = nullptr;
  /// Called before kernels are made that no shape before had: it may show `shape_kernels` other
  /// shapes by Network::look_ahead. May be empty.
  std::function<void()> look_ahead;
  /// Of the model, which networks of other shapes share; lives longer than they. Null: the network
  /// has its own.
  ModelMemory* memory = nullptr;
  /// What lives from run to run, in `state_memory`, where the device can have it so.
  std::vector<StatePair> states;
  /// Of the model, which networks of other shapes share; lives longer than they. With `states`.
  StateMemory* state_memory = nullptr;
  /// How long wait() waits before a run counts as lost; 0: hang_timeout_ns of the device.
  uint64_t deadline_ns = 0;
};

/// What making a network ready took, and what it moved.
struct NetworkStats {
  uint32_t launches = 0;
  uint32_t kernels = 0;         // distinct ones
  uint32_t compiled = 0;        // of them not found in the cache, nor made for other shapes
  uint32_t told = 0;            // of them told their numbers at each launch
  double compile_ms = 0;        // lowering, emission and loading, cache hits included
  CopyCounts copies;            // since load
  uint64_t reserved_bytes = 0;  // device memory, with what is shared with other shapes
  uint32_t repeated_runs = 0;   // lost in a fault or a hang and run again
  uint64_t tensor_bytes = 0;    // of it, what tensors need at once: weights, externals, activations
  ProductCounts products;
};

/// A graph input or output where the device reads or writes it. The host may touch it while no run
/// of the slot is in flight.
struct ExternalView {
  std::byte* host = nullptr;  // null when the host cannot reach it, or elements lie in words
  size_t size_bytes = 0;
  DType dtype = DType::f32;    // the model's
  DType storage = DType::f32;  // of the bytes
  Shape shape;
  std::vector<int64_t> strides;  // elements

  bool is_row_major() const { return strides == row_major_strides(shape); }
};

/// Nanoseconds on the device's clock.
struct SlotTimes {
  uint64_t begin_ns = 0;
  uint64_t end_ns = 0;
};

/// One kernel of a profiled run.
struct KernelTime {
  std::string name;
  std::string op;
  std::string params;
  double flop = 0;
  uint64_t bytes = 0;     // tensors read and written once
  uint64_t begin_ns = 0;  // on the device's clock, from the begin of the first one
  uint64_t time_ns = 0;
  uint32_t step = 0;  // of the schedule
};

class Network {
 public:
  /// The device must outlive the network.
  /// Errors: unsupported, out_of_memory, and what a driver says.
  static Result<std::unique_ptr<Network>> load(Device& device, const Graph& graph,
                                               const NetworkOptions& options);

  /// For a schedule that somebody has made for this device's target.
  static Result<std::unique_ptr<Network>> load(Device& device, Schedule schedule,
                                               const NetworkOptions& options);

  /// Tells `options.shape_kernels` which numbers of the graph's kernels are others in this one,
  /// which is the same model for other shapes, and makes nothing. Errors: those of planning.
  static Result<void> look_ahead(Device& device, const Graph& graph, const NetworkOptions& options);

  /// For what somebody has compiled for a target that this device serves; `options` has no shape
  /// kernels. The plan is copied. Errors: also invalid_argument, for a kernel that the device does
  /// not take.
  static Result<std::unique_ptr<Network>> load(Device& device, const RunPlan& plan,
                                               const NetworkOptions& options);

  /// Shape and dtype must be those of graph input `index`. Errors: invalid_argument.
  Result<void> set_input(size_t index, const HostTensor& value, size_t slot = 0);
  /// Runs once and waits for the fence. What a fault or the deadline takes is run once more, where
  /// the queue can give up what it lost; that takes runs of other slots in flight with it.
  /// Errors: device_lost.
  Result<void> run();
  /// Starts a run; the fence value of its end. At most one run of each slot is in flight.
  Result<uint64_t> start(size_t slot = 0);
  /// Waits for a started run.
  Result<void> wait(uint64_t fence_value);
  /// Whether all indices of the slot's last finished run were in their extents: what depends on one
  /// that was not is no result. run() and output() ask it. Errors: invalid_argument.
  Result<void> check_indices(size_t slot = 0);
  /// The output of the last finished run of the slot.
  Result<HostTensor> output(size_t index, size_t slot = 0);

  /// In place: to write an input, or read an output, without a copy.
  ExternalView input_view(size_t index, size_t slot = 0) const;
  ExternalView output_view(size_t index, size_t slot = 0) const;
  /// Lets the input (output) lie in memory that the caller has, such as a camera's frame or an
  /// array: a buffer of this device, imported or allocated, whose bytes are as the view tells. The
  /// slot's list is recorded anew, for one run; none of the slot is in flight. Errors:
  /// invalid_argument, for a buffer that is too small or another device's; those of recording.
  Result<void> place_input(size_t index, Buffer memory, size_t slot = 0);
  Result<void> place_output(size_t index, Buffer memory, size_t slot = 0);
  /// Whether the state of that number in NetworkOptions::states lives on the device: the value of
  /// its output is that of its input in the next run. Else the caller carries it over.
  bool keeps_state(size_t state) const { return state < states_.size() && states_[state].is_kept; }
  /// For each of the first outputs, whether it is such a state's.
  std::vector<bool> outputs_kept(size_t count) const;
  /// While they are held, runs are the last one again, as far as states go: for measuring.
  void hold_states(bool held);
  /// Whether some of its memory is the caller's.
  bool has_placed() const { return has_placed_; }
  size_t slot_count() const { return slots_.size(); }
  /// Whether the slot's last started run has come to its end; true without
  /// NetworkOptions::receipts. A load; any thread.
  bool is_receipted(size_t slot) const;
  /// Of the slot's last finished run, with NetworkOptions::times.
  Result<SlotTimes> slot_times(size_t slot);
  bool has_times() const { return options_.times; }

  /// Records the commands `count` times in a row, so that one start() runs the network that often:
  /// for measuring what is shorter than a submit. No run may be in flight. After load it is 1.
  Result<void> record_repeats(uint32_t count);

  /// A run with a time mark between any two kernels, so that none overlaps the next. Where the
  /// queue has fewer marks than there are kernels it takes several submits, whose pauses are left
  /// out. No run may be in flight.
  Result<std::vector<KernelTime>> profile();

  /// Whoever copies bytes of an input or output outside this class says so here. Any thread.
  void count_copy(CopyCause cause, uint64_t size_bytes);

  /// Without nodes and steps, where the network was loaded from a RunPlan.
  const Schedule& schedule() const { return schedule_; }
  /// FLOP of one run.
  double flop() const;
  /// A kernel's place in a run, one for each step of the schedule.
  struct PlannedLaunch {
    const Kernel* kernel = nullptr;
    std::vector<BufferRange> arguments;
  };
  std::vector<PlannedLaunch> launches(size_t slot = 0) const;
  /// Where a tensor of the schedule lies; it has memory.
  BufferRange range_of(TensorId tensor, size_t slot) const;
  /// Bytes of the device's memory that networks of one model share, by where they lie.
  using SharedBytes = std::map<std::pair<const Buffer*, size_t>, uint64_t>;
  SharedBytes weights() const;
  const Buffer& activations() const { return *activations_; }
  const NetworkStats& stats() const { return stats_; }
  Device& device() { return device_; }

 private:
  Network(Device& device, const NetworkOptions& options);

  /// What equal steps share.
  struct Served {
    std::shared_ptr<const Kernel> kernel;
    uint32_t groups_x = 0;
    std::optional<BufferRange> words;  // its last argument, where it is told numbers
  };
  struct Launch {
    size_t served = 0;  // in served_
    std::vector<TensorId> arguments;
    LaunchFacts facts;
    uint32_t step = 0;  // of the schedule
  };
  struct Slot {
    std::vector<Buffer> externals;  // by tensor id, empty where not external
    Buffer receipt;                 // the ticket, and behind it the receipt
    uint64_t ticket = 0;
    /// By the side of the states that a run reads; without states there is the first.
    std::array<std::unique_ptr<RecordedList>, 2> lists;
    CopyCounts copies;  // what one run of a list copies
  };
  struct State {
    TensorId input = kNoTensor;
    TensorId output = kNoTensor;
    bool is_kept = false;
    StateMemory::Sides sides;
  };

  Result<void> run_once();
  Result<void> run_to_end();
  Result<HostTensor> external(TensorId id, size_t slot);
  Result<void> plan(const Graph& graph);
  Result<void> prepare();
  Result<void> load_kernels(const RunPlan& plan);
  Result<void> record_all();
  Result<void> allocate();
  Result<void> allocate_slot(Slot& slot);
  Result<void> allocate_states();
  bool can_keep(const State& state) const;
  void take_sides();
  const State* state_of(TensorId id) const;
  const StateMemory::Sides& sides_of(const State& state) const;
  const Buffer& external_buffer(TensorId id, size_t slot) const;
  Result<Buffer> allocate_external(TensorId id);
  Result<void> place(TensorId id, Buffer memory, size_t slot);
  Result<void> record(size_t slot, uint32_t count);
  Result<std::unique_ptr<RecordedList>> record_list(size_t slot, uint32_t count);
  Result<void> place_weights();
  Result<void> upload_weights(std::span<const std::byte> image);
  Result<void> load_kernels();
  Result<void> serve(std::span<const uint32_t> steps);
  void remember(std::span<const StepKey> keys);
  Result<void> tell(std::span<const ShapeKernels::Told> told);
  Result<void> launch(const Launch& launch, size_t slot);
  Result<void> launch_all(size_t slot, uint32_t count);
  Result<void> profile(std::span<const Launch> part, std::vector<KernelTime>& times);
  KernelTime facts_of(const Launch& launch) const;
  Result<void> copy(size_t slot, CopyCause cause, BufferRange target, BufferRange source);
  ExternalView view_of(TensorId id, size_t slot) const;
  size_t bytes_of(TensorId tensor) const;

  Device& device_;
  NetworkOptions options_;
  Schedule schedule_;
  Buffer state_;
  ModelMemory& memory() { return options_.memory == nullptr ? own_memory_ : *options_.memory; }

  ModelMemory own_memory_;
  std::vector<ModelMemory::Place> weights_;  // by tensor id, empty where it is none
  std::shared_ptr<const Buffer> activations_;
  Buffer words_;
  std::vector<Served> served_;
  std::vector<Launch> launches_;
  std::vector<BufferRange> ranges_;  // scratch of one launch
  std::vector<Slot> slots_;
  std::vector<State> states_;            // one for each of options_.states
  bool has_states_ = false;              // some of them kept
  uint64_t states_version_ = 0;          // of the memory that lists are recorded for
  std::optional<size_t> recorded_side_;  // which one a list that is being recorded reads
  bool holds_states_ = false;
  bool has_started_ = false;
  NetworkStats stats_;
  bool has_placed_ = false;
};

}  // namespace leat
