// One schedule holds all ways, each a copy of the node with a result of its own; the results lie in
// one place, as only one way runs at a time. So all are compiled at once, on all cores.
#include "leat/run/tuning.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <optional>
#include <random>

#include "leat/run/network.h"
#include "leat/run/transfer.h"
#include "leat/run/warm_up.h"
#include "leat/schedule/choose_kernels.h"
#include "leat/schedule/kernel_key.h"
#include "leat/schedule/memory_plan.h"
#include "leat_version.h"

namespace leat {

namespace {

using Clock = std::chrono::steady_clock;

/// A sample is no shorter: submits and clocks are some microseconds.
constexpr double kSampleSeconds = 4e-4;
constexpr uint32_t kRepeatsMax = 200;
/// Of a device, once.
constexpr WarmUpLimits kGpuWarmUp = {.seconds = 0.3, .seconds_max = 2};
/// Before the first sample of a way.
constexpr double kWarmUpSeconds = 5e-4;
/// Elements that the reference computes, the first and the last among them.
constexpr size_t kPointsMin = 2;
constexpr size_t kPointsMax = 16;
/// So many steps of reductions for all of them; none, where one element takes more than the second.
constexpr double kReferenceSteps = 2e5;
constexpr double kElementSteps = 2e6;
/// Of the largest value: sums in other orders, and what narrow floats round.
constexpr double kTolerance = 1e-4;
constexpr double kNarrowTolerance = 2e-2;
/// What a sum of so many terms of about 1 may be off, times the root of their number: 16 * 2^-24.
constexpr double kSumTolerance = 1e-6;
/// Of a sample on a GPU, which takes milliseconds: a way that hangs costs no more.
constexpr uint64_t kDeadlineNs = 5'000'000'000;
/// All copies of the weights together.
constexpr size_t kCopiesBytesMax = size_t{1} << 28;

bool is_whole_number(DType dtype) { return !is_float(dtype); }

HostTensor random_tensor(const Tensor& tensor) {
  HostTensor value = HostTensor::zeros(tensor.dtype, tensor.shape);
  if (is_whole_number(tensor.dtype)) return value;  // zeros are in range, whatever they index
  std::minstd_rand random(7);
  for (int64_t i = 0; i < element_count(value.shape); ++i) {
    value.set_number(i, static_cast<double>(random() % 2001) / 1000 - 1);
  }
  return value;
}

/// The node alone, several times, each with parameters of its own.
class Copies {
 public:
  Copies(const Schedule& schedule, const Node& node) : node_(node) {
    plan_.precision = schedule.precision;
    plan_.graph.tensors = schedule.graph.tensors;
    plan_.placements = schedule.placements;
    for (Placement& placement : plan_.placements) placement.space = Space::none;
    for (const TensorId id : node.inputs) {
      Placement& placement = plan_.placements[id];
      placement.space = schedule.placements[id].space;
      if (placement.space == Space::weights || plan_.graph.tensors[id].constant) continue;
      placement.space = Space::external;
      placement.alias_of = kNoTensor;
      if (std::ranges::count(plan_.graph.inputs, id) == 0) plan_.graph.inputs.push_back(id);
    }
  }

  Result<void> add(const KernelParams& params, const Target& target) {
    Schedule one;
    one.precision = plan_.precision;
    one.graph.tensors = std::move(plan_.graph.tensors);
    one.placements = std::move(plan_.placements);
    Node copy = copy_of_node(one);
    results_.emplace_back();
    for (const NodeResult& result : copy.results) results_.back().push_back(result.output);
    one.graph.nodes.push_back(std::move(copy));
    Chooser chooser(target, [&](const Schedule& schedule, const Node& node, const Target& for_it,
                                Splitting splitting) {
      // Parts of it are nobody's choice here.
      return splitting == Splitting::allowed ? params
                                             : choose_by_model(schedule, node, for_it, splitting);
    });
    const Result<void> chosen = choose_kernels(one, chooser, {});
    plan_.graph.tensors = std::move(one.graph.tensors);
    plan_.placements = std::move(one.placements);
    TRY(chosen);
    const auto offset = static_cast<uint32_t>(plan_.graph.nodes.size());
    for (Step& step : one.steps) {
      step.node += offset;
      plan_.steps.push_back(std::move(step));
    }
    std::ranges::move(one.graph.nodes, std::back_inserter(plan_.graph.nodes));
    ends_.push_back(plan_.steps.size());
    return {};
  }

  Schedule take() {
    plan_memory(plan_);
    return std::move(plan_);
  }
  /// The steps of way i end here; those of the next begin.
  const std::vector<size_t>& ends() const { return ends_; }
  const std::vector<std::vector<TensorId>>& results() const { return results_; }

 private:
  /// With weights and results of its own.
  Node copy_of_node(Schedule& one) const {
    Node copy = node_;
    copy.name = fmt::format("{} way {}", node_.name, ends_.size());
    const auto twin = [&](TensorId id, Space space) {
      one.graph.tensors.push_back(one.graph.tensors[id]);
      one.placements.push_back(one.placements[id]);
      one.placements.back().space = space;
      one.placements.back().alias_of = kNoTensor;
      return static_cast<TensorId>(one.graph.tensors.size() - 1);
    };
    for (TensorId& id : copy.inputs) {
      if (one.placements[id].space == Space::weights) id = twin(id, Space::weights);
    }
    for (NodeResult& result : copy.results) {
      result.output = twin(result.output, Space::activations);
    }
    return copy;
  }

  const Node& node_;
  Schedule plan_;
  std::vector<size_t> ends_;
  std::vector<std::vector<TensorId>> results_;
};

/// What the results of one node are: some elements by the reference, all by the first way that had
/// those right, which is the model's.
class Reference {
 public:
  Reference(const Schedule& schedule, const Node& node)
      : node_(node),
        steps_(static_cast<double>(std::max<int64_t>(element_count(node.reduce), 1))),
        may_round_(schedule.precision == Precision::tf32) {
    for (const NodeResult& result : node_.results) {
      strides_.push_back(schedule.placements[result.output].strides);
      is_whole_.push_back(node_.program || is_whole(schedule.graph, node_, result));
    }
    first_.resize(node_.results.size());
  }

  Result<void> compute(const Graph& graph, std::span<const HostTensor* const> inputs) {
    if (node_.program || steps_ > kElementSteps) return {};
    const double wanted = kReferenceSteps / steps_;
    const auto count = static_cast<size_t>(std::clamp<double>(
        wanted, static_cast<double>(kPointsMin), static_cast<double>(kPointsMax)));
    std::minstd_rand random(11);
    for (size_t i = 0; i < count; ++i) {
      Shape point;
      for (const int64_t extent : node_.extents) {
        point.push_back(i == 0 ? extent - 1 : i == 1 ? 0 : static_cast<int64_t>(random()) % extent);
      }
      points_.push_back(std::move(point));
    }
    TRY_ASSIGN(values_, evaluate_points(graph, node_, inputs, points_));
    return {};
  }

  bool is_right(size_t result, const std::vector<std::byte>& bytes, DType storage, DType dtype) {
    const auto count = static_cast<int64_t>(bytes.size()) / size_bytes_of(storage);
    const HostTensor got = from_storage(bytes, storage, dtype, {count});
    const double allowed = allowed_error(result, got, storage);
    for (size_t i = 0; i < points_.size(); ++i) {
      if (!is_near(got.number(place_of(result, points_[i])), values_[i][result], allowed)) {
        return false;
      }
    }
    if (!is_whole_[result]) return true;
    if (!first_[result]) first_[result] = got;
    return is_float(dtype) ? is_near_all(got, *first_[result], 2 * allowed)
                           : got.bytes == first_[result]->bytes;
  }

 private:
  static bool is_near(double got, double want, double allowed) {
    if (std::isnan(want) || std::isnan(got)) return std::isnan(want) && std::isnan(got);
    return got == want || std::abs(got - want) <= allowed;
  }

  static bool is_near_all(const HostTensor& got, const HostTensor& want, double allowed) {
    const int64_t count = element_count(got.shape);
    if (got.dtype == DType::f32) {  // without a call for each
      const auto* a = reinterpret_cast<const float*>(got.bytes.data());
      const auto* b = reinterpret_cast<const float*>(want.bytes.data());
      return std::equal(a, a + count, b, [&](float x, float y) { return is_near(x, y, allowed); });
    }
    for (int64_t i = 0; i < count; ++i) {
      if (!is_near(got.number(i), want.number(i), allowed)) return false;
    }
    return true;
  }

  /// By the largest value there is, of the reference or of the first right way.
  double allowed_error(size_t result, const HostTensor& got, DType storage) const {
    if (!is_float(got.dtype)) return 0;
    double largest = 1e-3;
    for (const std::vector<double>& values : values_) {
      if (std::isfinite(values[result])) largest = std::max(largest, std::abs(values[result]));
    }
    if (const std::optional<HostTensor>& first = first_[result]) {
      const int64_t step = std::max<int64_t>(1, element_count(first->shape) / 4096);
      for (int64_t i = 0; i < element_count(first->shape); i += step) {
        const double value = std::abs(first->number(i));
        if (std::isfinite(value)) largest = std::max(largest, value);
      }
    }
    const bool is_narrow = may_round_ || size_bytes_of(storage) < 4 || size_bytes_of(got.dtype) < 4;
    return largest * (is_narrow ? kNarrowTolerance : kTolerance) +
           kSumTolerance * std::sqrt(steps_);
  }

  int64_t place_of(size_t result, const Shape& point) const {
    const NodeResult& written = node_.results[result];
    int64_t place = 0;
    for (size_t d = 0; d < strides_[result].size(); ++d) {
      int64_t at = written.index[d].constant;
      for (size_t i = 0; i < written.index[d].coefficients.size(); ++i) {
        at += written.index[d].coefficients[i] * point[i];
      }
      place += at * strides_[result][d];
    }
    return place;
  }

  Node node_;
  double steps_;
  bool may_round_;                             // factors, as it is multiplied
  std::vector<std::vector<int64_t>> strides_;  // of each result
  std::vector<bool> is_whole_;
  std::vector<Shape> points_;
  std::vector<std::vector<double>> values_;  // by point, by result
  std::vector<std::optional<HostTensor>> first_;
};

/// What all batches of ways share: whether the device is warm, and the node that was tried last.
struct TrialState {
  bool is_warm = false;
  std::string node;  // kernel_key, which does not know what weights hold
  std::vector<std::shared_ptr<const HostTensor>> constants;
  std::shared_ptr<Reference> reference;
};

class DeviceTrials : public TrialSet {
 public:
  DeviceTrials(Device& device, const Schedule& schedule, const Node& node, TrialState& state)
      : device_(device), node_(node), copies_(schedule, node), state_(state) {}

  Result<void> prepare(const Schedule& schedule, std::span<const KernelParams> ways,
                       const std::string& cache_folder) {
    for (const KernelParams& way : ways) TRY(copies_.add(way, device_.target()));
    NetworkOptions options;
    options.cache_folder = cache_folder;
    options.external_memory = MemoryKind::device;
    const bool is_slow = device_.info().software || device_.target().is_cpu;
    options.deadline_ns = is_slow ? hang_timeout_ns(device_) : kDeadlineNs;
    TRY_ASSIGN(network_, Network::load(device_, copies_.take(), options));
    launches_ = network_->launches();
    lists_.resize(ways.size());
    return set_inputs(schedule);
  }

  Result<double> sample(size_t index) override {
    List& list = lists_[index];
    if (list.recorded == nullptr) {
      TRY(spoil_results(index));
      TRY(record(index, 1));
      TRY_ASSIGN(double seconds, run(list));
      if (!state_.is_warm) TRY(warm_up([&] { return run(list); }, kGpuWarmUp));
      state_.is_warm = true;
      for (double passed = 0; passed < kWarmUpSeconds; passed += seconds) {
        TRY_ASSIGN(seconds, run(list));  // caches, pages, threads, clocks
      }
      const double wanted = std::ceil(kSampleSeconds / std::max(seconds, 1e-9));
      const auto repeats = static_cast<uint32_t>(std::clamp<double>(wanted, 1, kRepeatsMax));
      if (repeats > 1) TRY(record(index, repeats));
    }
    TRY_ASSIGN(const double seconds, run(list));
    return seconds / list.repeats;
  }

  Result<bool> is_right(size_t index) override {
    const std::vector<TensorId>& results = copies_.results()[index];
    for (size_t r = 0; r < results.size(); ++r) {
      const Placement& placement = network_->schedule().placements[results[r]];
      if (placement.is_in_words()) continue;
      std::vector<std::byte> bytes(placement.size_bytes());
      if (bytes.empty()) continue;
      BufferRange range = network_->range_of(results[r], 0);
      range.size_bytes = bytes.size();
      TRY(read_buffer(device_, range, bytes));
      const DType dtype = network_->schedule().graph.tensors[results[r]].dtype;
      if (!state_.reference->is_right(r, bytes, placement.storage, dtype)) return false;
    }
    return true;
  }

 private:
  struct List {
    std::unique_ptr<RecordedList> recorded;
    uint32_t repeats = 1;
  };

  Result<void> set_inputs(const Schedule& schedule) {
    std::vector<HostTensor> values(schedule.graph.tensors.size());
    const std::vector<TensorId>& inputs = network_->schedule().graph.inputs;
    for (size_t i = 0; i < inputs.size(); ++i) {
      values[inputs[i]] = random_tensor(schedule.graph.tensors[inputs[i]]);
      TRY(network_->set_input(i, values[inputs[i]]));
    }
    const std::string key = kernel_key(schedule, node_);
    std::vector<std::shared_ptr<const HostTensor>> constants;
    for (const TensorId id : node_.inputs) {
      constants.push_back(schedule.graph.tensors[id].constant);
    }
    const bool is_known = state_.node == key && state_.constants == constants;
    if (state_.reference != nullptr && is_known) return {};
    std::vector<const HostTensor*> of_node;
    for (const TensorId id : node_.inputs) {
      const auto& constant = schedule.graph.tensors[id].constant;
      of_node.push_back(constant ? constant.get() : &values[id]);
    }
    auto reference = std::make_shared<Reference>(schedule, node_);
    TRY(reference->compute(schedule.graph, of_node));
    state_.reference = std::move(reference);
    state_.node = key;
    state_.constants = std::move(constants);
    return {};
  }

  /// All results lie in one place: what a way does not write shall not be what the one before did.
  Result<void> spoil_results(size_t index) {
    for (const TensorId id : copies_.results()[index]) {
      const size_t size_bytes = network_->schedule().placements[id].size_bytes();
      if (size_bytes == 0) continue;
      const std::vector<std::byte> spoiled(size_bytes, std::byte{0xff});
      BufferRange range = network_->range_of(id, 0);
      range.size_bytes = size_bytes;
      TRY(write_buffer(device_, range, spoiled));
    }
    return {};
  }

  Result<void> record(size_t index, uint32_t repeats) {
    Queue& queue = device_.queue();
    const size_t begin = index == 0 ? 0 : copies_.ends()[index - 1];
    TRY(queue.begin_record());
    Result<void> launched;
    for (uint32_t i = 0; i < repeats; ++i) {
      for (size_t s = begin; s < copies_.ends()[index] && launched; ++s) {
        launched = queue.launch(*launches_[s].kernel, launches_[s].arguments);
      }
    }
    Result<std::unique_ptr<RecordedList>> list = queue.end_record();
    TRY(launched);
    TRY_ASSIGN(lists_[index].recorded, std::move(list));
    lists_[index].repeats = repeats;
    return {};
  }

  Result<double> run(List& list) {
    const Clock::time_point start = Clock::now();
    TRY_ASSIGN(const uint64_t value, device_.queue().replay(*list.recorded));
    const Result<void> done = network_->wait(value);
    if (done) return std::chrono::duration<double>(Clock::now() - start).count();
    if (done.error().kind() != ErrorKind::device_lost || !device_.queue().abandon()) {
      return done.error();
    }
    return Error(ErrorKind::unsupported, done.error().message());  // the others can go on
  }

  Device& device_;
  const Node& node_;
  Copies copies_;
  TrialState& state_;
  std::unique_ptr<Network> network_;
  std::vector<Network::PlannedLaunch> launches_;
  std::vector<List> lists_;
};

Result<void> check_size(const Schedule& schedule, const Node& node, size_t ways) {
  size_t size_bytes = 0;
  for (const TensorId id : node.inputs) {
    const auto& constant = schedule.graph.tensors[id].constant;
    if (constant) size_bytes += constant->bytes.size();
  }
  if (ways == 1 || size_bytes * ways <= kCopiesBytesMax) return {};
  return Error(ErrorKind::out_of_memory,
               fmt::format("Copies ({}) of the weights ({} bytes) of kernel \"{}\" are too much.",
                           ways, size_bytes, node.name));
}

}  // namespace

TuneChip tune_chip_of(const Device& device) {
  const DeviceInfo& info = device.info();
  const Target& target = device.target();
  return {fmt::format("{} | {} | units {} | wave {} | local {} | memory {} MiB", info.chip,
                      name_of(info.route), target.compute_units, target.wave_lanes,
                      target.local_memory_bytes_max, info.memory_bytes >> 20),
          fmt::format("{} | {} | leat {} {}", info.driver, target.name, kLeatVersion, kLeatCommit)};
}

MakeTrials trials_on(Device& device, const std::string& cache_folder) {
  auto state = std::make_shared<TrialState>();
  state->is_warm = device.target().is_cpu || device.info().software;
  return [&device, cache_folder, state](
             const Schedule& schedule, const Node& node,
             std::span<const KernelParams> ways) -> Result<std::unique_ptr<TrialSet>> {
    TRY(check_size(schedule, node, ways.size()));
    auto trials = std::make_unique<DeviceTrials>(device, schedule, node, *state);
    TRY(trials->prepare(schedule, ways, cache_folder));
    return std::unique_ptr<TrialSet>(std::move(trials));
  };
}

std::function<ChooseFunction(Device&)> tuned_choices(TuningOptions options) {
  return [options = std::move(options)](Device& device) -> ChooseFunction {
    auto store = std::make_shared<std::optional<TuneStore>>();
    if (!options.cache_folder.empty() &&
        (options.measures || TuneStore::exists(options.cache_folder))) {
      Result<TuneStore> opened = TuneStore::open(options.cache_folder);
      if (opened) *store = std::move(*opened);
      if (!opened && options.on_store_error) options.on_store_error(opened.error());
    }
    TunerOptions tuning;
    tuning.on = tune_chip_of(device);
    tuning.store = *store ? &**store : nullptr;
    if (options.measures) tuning.make_trials = trials_on(device, options.cache_folder);
    tuning.again = options.again;
    tuning.limits = options.limits;
    tuning.on_choice = options.on_choice;
    tuning.on_store_error = options.on_store_error;
    auto tuner = std::make_shared<Tuner>(std::move(tuning));
    return [store, tuner](const Schedule& schedule, const Node& node, const Target& target,
                          Splitting splitting) {
      return tuner->choose(schedule, node, target, splitting);
    };
  };
}

}  // namespace leat
