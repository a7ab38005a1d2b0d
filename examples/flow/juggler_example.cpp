// The juggler: a stream of items through the slots of a network, prepared and consumed in place.
// Usage: juggler_example MODEL.onnx [DEVICE]
#include <cstdio>
#include <string>

#include "leat/backend/backends.h"
#include "leat/model/onnx_import.h"
#include "leat/run/juggler.h"

using namespace leat;

namespace {

constexpr uint64_t kItems = 200;

Result<void> run(const std::string& path, const std::string& name) {
  TRY_ASSIGN(const std::unique_ptr<Device> device, open_device(name, 0));
  TRY_ASSIGN(const Model model, import_onnx(path));
  NetworkOptions options;
  options.slots = 4;
  options.receipts = true;
  TRY_ASSIGN(const std::unique_ptr<Network> network, Network::load(*device, model.graph, options));

  // On host threads: item n+1 is written while the device computes n, and n-1 is read.
  const auto prepare = [&](uint64_t item, size_t slot) -> Result<void> {
    const ExternalView input = network->input_view(0, slot);
    auto* const values = reinterpret_cast<float*>(input.host);
    for (int64_t i = 0; i < element_count(input.shape); ++i) {
      values[i] = static_cast<float>((static_cast<uint64_t>(i) + item) % 256);
    }
    return {};
  };
  std::vector<float> firsts(kItems);
  const auto consume = [&](uint64_t item, size_t slot) -> Result<void> {
    firsts[item] = *reinterpret_cast<const float*>(network->output_view(0, slot).host);
    return {};
  };

  JugglerOptions juggler;
  juggler.host_threads = 2;
  uint64_t next = 0;
  juggler.deliver = [&](uint64_t item, const Error*) {
    next = item == next ? next + 1 : kItems + 1;
  };
  TRY_ASSIGN(const JugglerReport report,
             juggle({juggled_network(*network, prepare, consume)}, kItems, juggler));
  std::printf("%.0f items a second. %s\n", report.rate, report.plan.c_str());
  return next == kItems ? Result<void>() : Error(ErrorKind::internal, "The order is wrong.");
}

}  // namespace

int main(int argc, char** argv) {
  const Result<void> result = run(argc > 1 ? argv[1] : "", argc > 2 ? argv[2] : "cpu");
  if (!result) std::fprintf(stderr, "%s\n", result.error().message().c_str());
  return result ? 0 : 1;
}
