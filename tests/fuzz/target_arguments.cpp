// Command lines: arguments that end with NUL, given to the parser of `leat` with all its commands.
#include <CLI/CLI.hpp>

#include "cli/commands.h"
#include "leat/base/check.h"
#include "leat/base/printable.h"
#include "tests/fuzz/fuzz_target.h"

namespace leat {
namespace {

std::vector<std::string> arguments_of(std::string_view bytes) {
  std::vector<std::string> arguments;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\0'), bytes.size());
    arguments.emplace_back(bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  return arguments;
}

std::string joined(const std::vector<std::string>& arguments) {
  std::string bytes;
  for (const std::string& argument : arguments) bytes += argument + '\0';
  return bytes;
}

}  // namespace

// As run_program does, save that nothing is run.
bool feed_arguments(std::string_view bytes) {
  CLI::App app("", "leat");
  app.require_subcommand(1);
  app.set_version_flag("--version", "0");
  // They own what the options are written into.
  const cli::CommandRun commands[] = {
      cli::add_devices(*app.add_subcommand("devices")),
      cli::add_run(*app.add_subcommand("run")),
      cli::add_test_onnx(*app.add_subcommand("test-onnx")),
      cli::add_dump(*app.add_subcommand("dump")),
      cli::add_doctor(*app.add_subcommand("doctor")),
  };
  std::vector<std::string> arguments = arguments_of(bytes);
  std::ranges::reverse(arguments);  // as CLI11 takes a vector
  for (const cli::CommandRun& command : commands) CHECK(command != nullptr);
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& error) {
    CHECK(error.get_exit_code() == 0 || !printable(error.what()).empty());
    return false;
  }
  return true;
}

std::vector<std::string> arguments_seeds() {
  return {
      joined({"devices", "--json", "-v"}),
      joined({"run", "m.onnx", "-i", "x=a.npy", "--input=b.png", "-o", "y.npy", "--top", "5"}),
      joined({"run", "m.onnx", "--scale", "0.5", "--mean", "1,2,3", "--channels", "bgr"}),
      joined({"dump", "m.onnx", "--after", "lower", "--target", "cpu", "--node", "a\nb"}),
      joined({"test-onnx", "a", "b", "--json=c", "--", "-d"}),
  };
}

}  // namespace leat
