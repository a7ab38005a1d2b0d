// The choice of an emitter: each code format gets its own, and a build without LLVM says so.
#include "leat/emit/emit.h"

#include <gtest/gtest.h>

#include <cstring>

#include "leat/emit/spirv_programs_test.h"
#include "leat/ir/text.h"

namespace leat {
namespace {

TEST(Emit, InterpretedIsTheTextForm) {
  const ir::Program program = spirv::saxpy_program(100);
  const Target target = {.name = "null", .format = CodeFormat::interpreted};
  const Result<KernelBinary> binary = emit(program, target);
  ASSERT_TRUE(binary.has_value());
  const std::string text(reinterpret_cast<const char*>(binary->code.data()), binary->code.size());
  EXPECT_EQ(text, ir::print_program(program));
  EXPECT_EQ(binary->format, CodeFormat::interpreted);
  EXPECT_EQ(binary->arguments.size(), 3u);
  const Result<std::string> listing = disassemble(program, target);
  ASSERT_TRUE(listing.has_value());
  EXPECT_EQ(*listing, text);
}

TEST(Emit, SpirvStartsWithItsMagicNumber) {
  for (const Target& target :
       {spirv::pointers_target(), spirv::bindings_target(), spirv::opengl_target()}) {
    const Result<KernelBinary> binary = emit(spirv::saxpy_program(100), target);
    ASSERT_TRUE(binary.has_value());
    EXPECT_EQ(binary->format, target.format);
    uint32_t magic = 0;
    std::memcpy(&magic, binary->code.data(), sizeof magic);
    EXPECT_EQ(magic, 0x07230203u);
    const Result<std::string> listing = disassemble(spirv::saxpy_program(100), target);
    ASSERT_TRUE(listing.has_value());
    EXPECT_NE(listing->find("OpFunction"), std::string::npos);
  }
}

TEST(Emit, VersionsTellBuildsApart) {
  const Target text = {.format = CodeFormat::interpreted};
  EXPECT_GE(emitter_version(text).size(), 16u);
#ifdef LEAT_HAS_LLVM
  const Target object = {.format = CodeFormat::native_object,
                         .llvm_triple = "x86_64-unknown-linux-gnu"};
  EXPECT_NE(emitter_version(text), emitter_version(object));  // LLVM's build counts, too
#endif
}

#ifndef LEAT_HAS_LLVM
TEST(Emit, NativeCodeIsUnsupportedWithoutLlvm) {
  const Target target = {.name = "x86-64", .format = CodeFormat::native_object};
  const Result<KernelBinary> binary = emit(spirv::saxpy_program(100), target);
  ASSERT_FALSE(binary.has_value());
  EXPECT_EQ(binary.error().kind(), ErrorKind::unsupported);
}
#endif

}  // namespace
}  // namespace leat
