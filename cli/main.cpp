// The program `leat`: the table of its commands.
#include "cli/cli_program.h"

namespace {

constexpr leat::cli::Command kCommands[] = {
    {"devices", "Lists the devices of this machine and the routes to each", leat::cli::add_devices,
     "leat devices\n"
     "leat devices --json"},
    {"run", "Runs an ONNX or packed model on pictures or arrays", leat::cli::add_run,
     "leat run digits.onnx --input 7.png --top 3 --labels labels.txt\n"
     "leat run digits.onnx --input x.npy --output y.npy --device cpu --json\n"
     "leat run digits.onnx --input pictures --output results --top 1\n"
     "leat run digits.onnx --input x.npy --profile --trace trace.json"},
    {"inspect", "Tells what is in a model file, and all that stands in its way",
     leat::cli::add_inspect, "leat inspect digits.onnx\nleat inspect digits.onnx --json"},
    {"compare", "Measures a model on every device and route of this machine, side by side",
     leat::cli::add_compare,
     "leat compare digits.onnx\n"
     "leat compare digits.onnx --device cpu,gpu0 --html digits.html"},
    {"test-onnx", "Runs cases of the ONNX conformance suite", leat::cli::add_test_onnx,
     "leat test-onnx CASES --device cpu -v"},
    {"bench", "Measures; leat bench --help names what", leat::cli::add_bench,
     "leat bench conv2d --shape 1,64,56,56,64,3,1,1 --device cpu"},
    {"tune", "Finds the fastest way to compute each kernel of a model, and keeps it",
     leat::cli::add_tune,
     "leat tune digits.onnx --device cpu --time 20\n"
     "leat tune list\n"
     "leat tune export tuned.json\n"
     "leat tune import tuned.json\n"
     "leat tune forget all"},
    {"pack", "Makes one file of a model and its kernels, for machines without a compiler",
     leat::cli::add_pack,
     "leat pack digits.onnx --for cpu-x86-64-v3,vulkan,aarch64 -o digits.leat\n"
     "leat run digits.leat --input 7.png --top 3"},
    {"dump", "Shows a model or a kernel after a stage of its way to the device",
     leat::cli::add_dump,
     "leat dump digits.onnx --after graph\n"
     "leat dump digits.onnx --after lower --node conv --target sm_90"},
    {"cache", "Shows and removes what is kept between runs", leat::cli::add_cache,
     "leat cache list\n"
     "leat cache prune --size 500MB\n"
     "leat cache clear --tuning"},
    {"kernel", "Runs, checks, measures and formats a kernel of one's own", leat::cli::add_kernel,
     "leat kernel check examples/kernels/add.ir\n"
     "leat kernel run examples/kernels/relu.ir --in x=x.npy --out y=y.npy --device cpu\n"
     "leat kernel bench examples/kernels/matmul.ir --device cpu --trust\n"
     "leat kernel fmt examples/kernels/add.ir"},
    {"doctor", "Tells what was found, what was refused and why, and what to do",
     leat::cli::add_doctor, "leat doctor\nleat doctor --json=doctor.json"},
};

}  // namespace

int main(int argc, char** argv) {
  return leat::cli::run_program(
      argc, argv,
      {.name = "leat",
       .description = "Runs neural networks on any device, from one description of each kernel."},
      kCommands);
}
