// See measured_run.h.
#include <algorithm>

#include "leat/report/measured_run.h"
#include "leat/run/peak.h"

namespace leat {

namespace {

/// What matrix units or dot products multiply in the network; f32 where none do.
DType unit_element_of(const Schedule& schedule) {
  for (const Step& step : schedule.steps) {
    const auto* tile = std::get_if<ContractionParams>(&step.params);
    if (tile == nullptr || (!tile->by_units() && tile->k_dot == 1)) continue;
    if (tile->by_bytes()) return DType::i8;
    const Node& node = schedule.graph.nodes[step.node];
    const auto contraction = find_contraction(schedule.graph, node);
    if (contraction) return schedule.placements[node.inputs[contraction->a.input]].storage;
  }
  return DType::f32;
}

/// Of the network and of each kernel.
double fastest_gflops(const MeasuredRun& run) {
  double fastest = run.gflops();
  for (const KernelTime& kernel : run.profile) {
    const double ns = static_cast<double>(std::max<uint64_t>(kernel.time_ns, 1));
    fastest = std::max(fastest, kernel.flop / ns);
  }
  return fastest;
}

Result<double> peak_of(LoadedModel& loaded, const MeasuredRun& run,
                       const std::string& cache_folder) {
  const DType element = unit_element_of(loaded.network().schedule());
  Device& device = loaded.device();
  TRY_ASSIGN(double peak, measured_peak_gflops(device, cache_folder, element));
  if (fastest_gflops(run) <= peak) return peak;
  TRY_ASSIGN(const double again, measure_peak_gflops(device, element));  // kept on a busy machine
  peak = std::max(peak, again);
  keep_peak_gflops(device, cache_folder, peak, element);
  return peak;
}

}  // namespace

PeakOf measured_peaks(std::string cache_folder) {
  return [folder = std::move(cache_folder)](LoadedModel& loaded, const MeasuredRun& run) {
    return peak_of(loaded, run, folder);
  };
}

}  // namespace leat
