// See amd_fake_card.h.
#include "tests/amd/amd_fake_card.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include "tests/amd/amd_kernel_run.h"
#include "tests/amd/llvm_amd_compiler.h"

namespace leat {

namespace {

amd_card::FakeKfd& fake_of(void* context) { return *static_cast<amd_card::FakeKfd*>(context); }

}  // namespace

AmdOs os_of(amd_card::FakeKfd& fake) {
  AmdOs os;
  os.context = &fake;
  os.open = [](void* context, const char* path) { return fake_of(context).open(path); };
  os.close = [](void* context, int fd) { return fake_of(context).close(fd); };
  os.ioctl = [](void* context, int fd, unsigned long request, void* argument) {
    return fake_of(context).ioctl(fd, request, argument);
  };
  os.mmap = [](void* context, void* address, size_t size, int protection, int flags, int fd,
               uint64_t offset) -> void* {
    void* mapped = fake_of(context).mmap(address, size, protection, flags, fd, offset);
    return mapped == MAP_FAILED ? nullptr : mapped;
  };
  os.munmap = [](void* context, void* address, size_t size) {
    return fake_of(context).munmap(address, size);
  };
  os.read_file = [](void* context, const std::string& path, std::string& text) {
    return fake_of(context).read_file(path, text);
  };
  return os;
}

std::string FakeCard::faults() const {
  std::string text;
  for (const std::string& fault : fake.faults()) text += fault + "\n";
  return text;
}

amd_card::FakeCardOptions gfx1201_card() {
  amd_card::FakeCardOptions options;
  options.target = "gfx1201";
  options.target_version = 120001;
  options.compute_units = 64;
  options.shader_engines = 4;
  return options;
}

Result<KernelBinary> compile_kernel(const std::string& target, const TestKernel& kernel) {
  std::string parameters;
  KernelBinary binary;
  for (size_t k = 0; k < kernel.written.size(); ++k) {
    parameters += fmt::format("{}ptr addrspace(1) %b{}", k == 0 ? "" : ", ", k);
    binary.arguments.push_back({DType::f32, kernel.written[k]});
  }
  const std::string ir = fmt::format(
      R"(target triple = "amdgcn-amd-amdhsa"
declare i32 @llvm.amdgcn.workgroup.id.x()
declare i32 @llvm.amdgcn.workitem.id.x()
declare void @llvm.amdgcn.s.barrier()
{0}
define amdgpu_kernel void @{1}({2}) #0 {{
entry:
  %wg = call i32 @llvm.amdgcn.workgroup.id.x()
  %t = call i32 @llvm.amdgcn.workitem.id.x()
  %base = mul i32 %wg, {3}
  %i32 = add i32 %base, %t
  %i = zext i32 %i32 to i64
{4}
  ret void
}}
)",
      kernel.declarations, kernel.name, parameters, kernel.threads, kernel.body);
  TRY_ASSIGN(const std::vector<uint8_t> object,
             amd_card::compile_object(target, ir + amd_card::kernel_attributes(kernel.threads)));
  binary.name = binary.entry = kernel.name;
  binary.format = CodeFormat::amdgpu_object;
  binary.code.resize(object.size());
  std::memcpy(binary.code.data(), object.data(), object.size());
  binary.wave_lanes = 32;
  binary.waves_per_workgroup = kernel.threads / 32;
  binary.grid[0] = kernel.groups;
  return binary;
}

TestKernel add_kernel(uint32_t groups) {
  return {.name = "add",
          .written = {true, false, false},
          .body = R"(  %p0 = getelementptr float, ptr addrspace(1) %b0, i64 %i
  %p1 = getelementptr float, ptr addrspace(1) %b1, i64 %i
  %p2 = getelementptr float, ptr addrspace(1) %b2, i64 %i
  %x = load float, ptr addrspace(1) %p1
  %y = load float, ptr addrspace(1) %p2
  %r = fadd float %x, %y
  store float %r, ptr addrspace(1) %p0)",
          .groups = groups};
}

TestKernel step_kernel(uint32_t groups) {
  return {.name = "step",
          .written = {true},
          .body = R"(  %p0 = getelementptr i32, ptr addrspace(1) %b0, i64 %i
  %x = load i32, ptr addrspace(1) %p0
  %d = shl i32 %x, 1
  %r = add i32 %d, 1
  store i32 %r, ptr addrspace(1) %p0)",
          .groups = groups};
}

Result<bool> wait_for(Device& device, uint64_t value) {
  return device.queue().fence().wait(value, 10'000'000'000);
}

}  // namespace leat
