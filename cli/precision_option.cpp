// See precision_option.h.
#include "cli/precision_option.h"

#include <algorithm>

namespace leat::cli {

void add_precision_option(CLI::App& command, Precision& precision) {
  std::string names = precision_names();
  std::erase(names, ' ');
  std::ranges::replace(names, ',', '|');
  command
      .add_option_function<std::string>(
          "--precision", [&](const std::string& name) { precision = *parse_precision(name); },
          "What factors of products in f32 may be rounded to (f32); sums stay f32")
      ->type_name(names)
      ->check([](const std::string& name) {
        const Result<Precision> found = parse_precision(name);
        return found ? std::string() : found.error().message();
      });
}

}  // namespace leat::cli
