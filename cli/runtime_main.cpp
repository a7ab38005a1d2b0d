// The program `leat` of the small runtime (LEAT_RUNTIME_ONLY): the table of its commands.
#include "cli/cli_program.h"

namespace {

constexpr leat::cli::Command kCommands[] = {
    {"devices", "Lists the devices of this machine and the routes to each", leat::cli::add_devices},
    {"run", "Runs a packed model on pictures or arrays", leat::cli::add_run},
};

}  // namespace

int main(int argc, char** argv) {
  return leat::cli::run_program(
      argc, argv,
      {.name = "leat",
       .description = "Runs packed neural networks on any device; leat pack makes them elsewhere."},
      kCommands);
}
