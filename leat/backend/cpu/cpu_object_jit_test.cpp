// See cpu_object_jit_test.h.
#include "leat/backend/cpu/cpu_object_jit_test.h"

#include <gtest/gtest.h>
#include <llvm/AsmParser/Parser.h>
#include <llvm/ExecutionEngine/Orc/CompileUtils.h>
#include <llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>
#include <llvm/Support/SourceMgr.h>
#include <llvm/Support/TargetSelect.h>

#include "leat/base/check.h"

namespace leat {

namespace {

KernelBinary compiled(const std::string& text, uint32_t group_count, uint32_t argument_count) {
  llvm::InitializeNativeTarget();
  llvm::InitializeNativeTargetAsmPrinter();
  llvm::LLVMContext context;
  llvm::SMDiagnostic diagnostic;
  const std::unique_ptr<llvm::Module> module = llvm::parseAssemblyString(text, diagnostic, context);
  CHECK(module != nullptr);
  auto builder = llvm::cantFail(llvm::orc::JITTargetMachineBuilder::detectHost());
  builder.setRelocationModel(llvm::Reloc::PIC_);
  const auto machine = llvm::cantFail(builder.createTargetMachine());
  module->setDataLayout(machine->createDataLayout());
  const auto object = llvm::cantFail(llvm::orc::SimpleCompiler(*machine)(*module));

  KernelBinary binary;
  binary.name = "test";
  binary.entry = "entry";
  binary.format = CodeFormat::native_object;
  const auto* first = reinterpret_cast<const std::byte*>(object->getBufferStart());
  binary.code.assign(first, first + object->getBufferSize());
  binary.arguments.assign(argument_count, {DType::i32, true});
  binary.grid[0] = group_count;
  return binary;
}

// `body` is run for each workgroup %g with %x, the address of its element of the first buffer.
std::string for_each_group(const std::string& body) {
  return R"(
define void @entry(ptr %buffers, i32 %first, i32 %end) {
start:
  %base = load ptr, ptr %buffers
  %some = icmp ult i32 %first, %end
  br i1 %some, label %group, label %done
group:
  %g = phi i32 [%first, %start], [%next, %last]
  %place = zext i32 %g to i64
  %x = getelementptr i32, ptr %base, i64 %place
)" + body +
         R"(
  br label %last
last:
  %next = add i32 %g, 1
  %more = icmp ult i32 %next, %end
  br i1 %more, label %group, label %done
done:
  ret void
}
)";
}

}  // namespace

KernelBinary triple_object(uint32_t group_count, int32_t addend) {
  return compiled(for_each_group("%a = load i32, ptr %x\n"
                                 "%b = mul i32 %a, 3\n"
                                 "%c = add i32 %b, " +
                                 std::to_string(addend) + "\nstore i32 %c, ptr %x"),
                  group_count, 1);
}

KernelBinary slow_object(uint32_t group_count, uint32_t rounds) {
  return compiled(for_each_group("br label %spin\n"
                                 "spin:\n"
                                 "%i = phi i32 [0, %group], [%j, %spin]\n"
                                 "%j = add i32 %i, 1\n"
                                 "call void asm sideeffect \"\", \"\"()\n"
                                 "%again = icmp ult i32 %j, " +
                                 std::to_string(rounds) +
                                 "\nbr i1 %again, label %spin, label %write\n"
                                 "write:\n"
                                 "%a = load i32, ptr %x\n"
                                 "%b = add i32 %a, 1\n"
                                 "store i32 %b, ptr %x"),
                  group_count, 1);
}

KernelBinary floor_object() {
  return compiled(R"(
declare float @floorf(float)
define void @entry(ptr %buffers, i32 %first, i32 %end) {
  %x = load ptr, ptr %buffers
  %place = getelementptr ptr, ptr %buffers, i64 1
  %y = load ptr, ptr %place
  %a = load float, ptr %x
  %b = call float @floorf(float %a) nobuiltin
  store float %b, ptr %y
  ret void
}
)",
                  1, 2);
}

}  // namespace leat
