// The targets under libFuzzer: `leat_fuzz --target=NAME CORPUS...`; tools/fuzz is how it is run.
//   --seeds=FOLDER   first writes the target's seeds there
// libFuzzer passes over options that begin with two dashes.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "leat/base/output_file.h"
#include "tests/fuzz/fuzz_target.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv);
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes);

namespace {

const leat::FuzzTarget* chosen = nullptr;

std::string_view option(int argc, char** argv, std::string_view name) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument.starts_with(name)) return argument.substr(name.size());
  }
  return "";
}

[[noreturn]] void refuse(const char* sentence) {
  std::fprintf(stderr, "leat_fuzz: %s\n", sentence);
  std::exit(2);
}

}  // namespace

int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const std::string_view name = option(*argc, *argv, "--target=");
  for (const leat::FuzzTarget& target : leat::fuzz_targets()) {
    if (target.name == name) chosen = &target;
  }
  if (chosen == nullptr) {
    for (const leat::FuzzTarget& target : leat::fuzz_targets()) {
      std::fprintf(stderr, "%s\n", std::string(target.name).c_str());
    }
    refuse("--target= is none of the above.");
  }
  const std::string folder(option(*argc, *argv, "--seeds="));
  if (folder.empty()) return 0;
  int number = 0;
  for (const std::string& seed : leat::seeds_of(*chosen)) {
    const std::string path = folder + "/seed_" + std::to_string(number++);
    if (!leat::write_file(path, seed)) refuse("A seed cannot be written.");
  }
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size_bytes) {
  if (size_bytes > chosen->input_bytes_max) return -1;
  chosen->feed({reinterpret_cast<const char*>(bytes), size_bytes});
  return 0;
}
