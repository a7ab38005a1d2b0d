// Models that are compiled. See session.h.
#include "leat/run/known_answer.h"
#include "leat/run/session.h"

namespace leat {

NetworkSource compiled_networks(const std::string& cache_folder) {
  NetworkSource source;
  source.check = [=](Device& device) { return self_test(device, cache_folder); };
  source.make = [](Device& device, const Model& model, const NetworkOptions& options) {
    return Network::load(device, model.graph, options);
  };
  source.look_ahead = [](Device& device, const Model& model, const NetworkOptions& options) {
    return Network::look_ahead(device, model.graph, options);
  };
  return source;
}

Result<std::unique_ptr<LoadedModel>> Session::load(Model model, LoadOptions options) {
  return load_from(std::move(model), std::move(options), compiled_networks(options_.cache_folder));
}

}  // namespace leat
