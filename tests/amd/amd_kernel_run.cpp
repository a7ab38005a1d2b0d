#include "tests/amd/amd_kernel_run.h"

#include <fmt/format.h>

namespace leat::amd_card {

namespace {

EmulatorOptions options_for(const std::string& target, WaveOrder order) {
  EmulatorOptions options;
  CHECK(target.starts_with("gfx11") || target.starts_with("gfx12"));
  options.generation = target.starts_with("gfx12") ? Generation::gfx12 : Generation::gfx11;
  options.order = order;
  options.seed = 7;
  options.instructions_max = 100'000'000;
  return options;
}

constexpr uint64_t kStride = 0x1000000;

}  // namespace

KernelRun::KernelRun(const std::string& target, WaveOrder order)
    : emulator_(memory_, options_for(target, order)) {}

uint64_t KernelRun::buffer(std::span<const uint8_t> bytes, uint8_t access) {
  const uint64_t va = next_va_;
  next_va_ += kStride;
  CHECK(bytes.size() < kStride);
  storage_.emplace_back(bytes.begin(), bytes.end());
  CHECK(memory_.map(va, bytes.size(), storage_.back().data(), access,
                    fmt::format("buffer {}", storage_.size())));
  return va;
}

void KernelRun::load(std::span<const uint8_t> object) {
  Result<CodeImage> image = load_code_object(object);
  CHECK(image.has_value());
  code_va_ = buffer(image->bytes, kRead | kRun);
  kernel_ = image->kernels.at(0);
  has_descriptor_ = true;
}

void KernelRun::load_words(const std::vector<uint32_t>& words, uint32_t rsrc1, uint32_t rsrc2) {
  std::vector<uint8_t> bytes(words.size() * 4);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  code_va_ = buffer(bytes, kRead | kRun);
  kernel_ = KernelDescriptor{};
  kernel_.rsrc1 = rsrc1;
  kernel_.rsrc2 = rsrc2;
  kernel_.properties = 0x408;
  has_descriptor_ = false;
}

Launch KernelRun::prepared(const std::vector<uint64_t>& arguments, uint32_t groups,
                           uint32_t threads) {
  std::vector<uint64_t> block = arguments;
  block.resize(std::max<size_t>(block.size(), 8));
  const uint64_t at = buffer_of(block);
  Result<Launch> launch = launch_of(kernel_, code_va_, at);
  CHECK(launch.has_value());
  launch->groups = {groups, 1, 1};
  launch->threads = {threads, 1, 1};
  return *launch;
}

Result<void> KernelRun::launch(const std::vector<uint64_t>& arguments, uint32_t groups,
                               uint32_t threads) {
  return emulator_.run(prepared(arguments, groups, threads));
}

std::string kernel_attributes(uint32_t threads, const std::string& more) {
  std::string text = fmt::format(
      "attributes #0 = {{ nounwind \"amdgpu-flat-work-group-size\"=\"{0},{0}\" "
      "\"uniform-work-group-size\"=\"true\" \"target-features\"=\"+cumode\" {1}",
      threads, more);
  for (const char* name :
       {"dispatch-ptr", "queue-ptr", "dispatch-id", "implicitarg-ptr", "workgroup-id-y",
        "workgroup-id-z", "workitem-id-y", "workitem-id-z", "lds-kernel-id"}) {
    text += fmt::format(" \"amdgpu-no-{}\"", name);
  }
  return text +
         " }\n!llvm.module.flags = !{!0}\n"
         "!0 = !{i32 1, !\"amdhsa_code_object_version\", i32 500}\n";
}

}  // namespace leat::amd_card
