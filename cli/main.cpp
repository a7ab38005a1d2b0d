// The program `leat`: the table of its commands.
#include "cli/cli_program.h"

namespace {

constexpr leat::cli::Command kCommands[] = {
    {"devices", "Lists the devices of this machine and the routes to each", leat::cli::add_devices},
    {"run", "Runs an ONNX or packed model on pictures or arrays", leat::cli::add_run},
    {"test-onnx", "Runs cases of the ONNX conformance suite", leat::cli::add_test_onnx},
    {"bench", "Measures; leat bench --help names what", leat::cli::add_bench},
    {"tune", "Finds the fastest way to compute each kernel of a model, and keeps it",
     leat::cli::add_tune},
    {"pack", "Makes one file of a model and its kernels, for machines without a compiler",
     leat::cli::add_pack},
    {"dump", "Shows a model or a kernel after a stage of its way to the device",
     leat::cli::add_dump},
    {"doctor", "Tells what was found, what was refused and why, and what to do",
     leat::cli::add_doctor},
};

}  // namespace

int main(int argc, char** argv) {
  return leat::cli::run_program(
      argc, argv,
      {.name = "leat",
       .description = "Runs neural networks on any device, from one description of each kernel."},
      kCommands);
}
