// What device_choice.h has for commands that compile.
#include "cli/device_choice.h"
#include "cli/report.h"

namespace leat::cli {

Result<std::unique_ptr<Device>> open_by_spec(const std::string& spec) {
  return command_devices().open(spec, compiled_networks(kernel_cache_folder()).check);
}

SessionOptions session_options(const std::string& cache_folder, TuningOptions tuning) {
  SessionOptions options = plain_session_options();
  tuning.cache_folder = cache_folder;
  tuning.on_store_error = [](const Error& error) {
    say_line(error.message() + " Nothing that tuning finds is kept.");
  };
  options.choose_on = tuned_choices(std::move(tuning));
  options.cache_folder = cache_folder;
  return options;
}

}  // namespace leat::cli
