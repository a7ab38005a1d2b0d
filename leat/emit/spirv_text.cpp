// A table of the instructions that we emit and a walk over the words.
// Facts: SPIR-V Specification 1.6, section 2.3 and 3.52 (operands of each instruction).
#include "leat/emit/spirv_text.h"

#include <fmt/format.h>
#include <spirv/unified1/GLSL.std.450.h>

#include <cstring>
#include <spirv/unified1/spirv.hpp11>
#include <string_view>
#include <vector>

#include "leat/emit/spirv_writer.h"

namespace leat::spirv {
namespace {

// operands: t type id, r result id, i id, n number, x instruction of GLSL.std.450, s string;
// + repeats the letter before it to the instruction's end.
struct Row {
  spv::Op op;
  std::string_view name;
  std::string_view operands;
};

#define ROW(name, operands) \
  { spv::Op::name, #name, operands }
constexpr Row kRows[] = {
    ROW(OpName, "is"),
    ROW(OpExtension, "s"),
    ROW(OpExtInstImport, "rs"),
    ROW(OpExtInst, "trixi+"),
    ROW(OpMemoryModel, "nn"),
    ROW(OpEntryPoint, "nisi+"),
    ROW(OpExecutionMode, "inn+"),
    ROW(OpCapability, "n"),
    ROW(OpDecorate, "inn+"),
    ROW(OpMemberDecorate, "innn+"),
    ROW(OpTypeVoid, "r"),
    ROW(OpTypeBool, "r"),
    ROW(OpTypeInt, "rnn"),
    ROW(OpTypeFloat, "rn"),
    ROW(OpTypeVector, "rin"),
    ROW(OpTypeArray, "rii"),
    ROW(OpTypeRuntimeArray, "ri"),
    ROW(OpTypeStruct, "ri+"),
    ROW(OpTypePointer, "rni"),
    ROW(OpTypeForwardPointer, "in"),
    ROW(OpTypeFunction, "ri+"),
    ROW(OpConstantTrue, "tr"),
    ROW(OpConstantFalse, "tr"),
    ROW(OpConstant, "trn+"),
    ROW(OpConstantComposite, "tri+"),
    ROW(OpFunction, "trni"),
    ROW(OpFunctionEnd, ""),
    ROW(OpVariable, "trn"),
    ROW(OpLoad, "trin+"),
    ROW(OpStore, "iin+"),
    ROW(OpAccessChain, "trii+"),
    ROW(OpCompositeConstruct, "tri+"),
    ROW(OpCompositeExtract, "trin+"),
    ROW(OpConvertFToS, "tri"),
    ROW(OpConvertSToF, "tri"),
    ROW(OpFConvert, "tri"),
    ROW(OpSConvert, "tri"),
    ROW(OpUConvert, "tri"),
    ROW(OpBitcast, "tri"),
    ROW(OpSNegate, "tri"),
    ROW(OpFNegate, "tri"),
    ROW(OpIAdd, "trii"),
    ROW(OpFAdd, "trii"),
    ROW(OpISub, "trii"),
    ROW(OpFSub, "trii"),
    ROW(OpIMul, "trii"),
    ROW(OpFMul, "trii"),
    ROW(OpSDiv, "trii"),
    ROW(OpFDiv, "trii"),
    ROW(OpSRem, "trii"),
    ROW(OpLogicalNotEqual, "trii"),
    ROW(OpLogicalOr, "trii"),
    ROW(OpLogicalAnd, "trii"),
    ROW(OpLogicalNot, "tri"),
    ROW(OpSelect, "triii"),
    ROW(OpIEqual, "trii"),
    ROW(OpULessThan, "trii"),
    ROW(OpSLessThan, "trii"),
    ROW(OpSLessThanEqual, "trii"),
    ROW(OpFOrdEqual, "trii"),
    ROW(OpFOrdLessThan, "trii"),
    ROW(OpFOrdLessThanEqual, "trii"),
    ROW(OpFOrdGreaterThanEqual, "trii"),
    ROW(OpShiftRightLogical, "trii"),
    ROW(OpShiftRightArithmetic, "trii"),
    ROW(OpShiftLeftLogical, "trii"),
    ROW(OpBitwiseOr, "trii"),
    ROW(OpBitwiseXor, "trii"),
    ROW(OpBitwiseAnd, "trii"),
    ROW(OpControlBarrier, "iii"),
    ROW(OpMemoryBarrier, "ii"),
    ROW(OpAtomicStore, "iiii"),
    ROW(OpAtomicIAdd, "triiii"),
    ROW(OpPhi, "tri+"),
    ROW(OpLoopMerge, "iin+"),
    ROW(OpSelectionMerge, "in"),
    ROW(OpLabel, "r"),
    ROW(OpBranch, "i"),
    ROW(OpBranchConditional, "iii"),
    ROW(OpReturn, ""),
    {kOpTypeCooperativeMatrix, "OpTypeCooperativeMatrixKHR", "riiiii"},
    {kOpCooperativeMatrixLoad, "OpCooperativeMatrixLoadKHR", "triiin+"},
    {kOpCooperativeMatrixStore, "OpCooperativeMatrixStoreKHR", "iiiin+"},
    {kOpCooperativeMatrixMulAdd, "OpCooperativeMatrixMulAddKHR", "triii"},
};
#undef ROW

#define ROW(name) \
  { GLSLstd450##name, #name }
constexpr struct {
  uint32_t number;
  std::string_view name;
} kFunctions[] = {
    ROW(RoundEven), ROW(FAbs), ROW(SAbs), ROW(Floor), ROW(Ceil), ROW(Sqrt),
    ROW(FMin),      ROW(SMin), ROW(FMax), ROW(SMax),  ROW(Fma),
};
#undef ROW

const Row* row_of(uint32_t op) {
  for (const Row& row : kRows) {
    if (static_cast<uint32_t>(row.op) == op) return &row;
  }
  return nullptr;
}

std::string function_name(uint32_t number) {
  for (const auto& function : kFunctions) {
    if (function.number == number) return std::string(function.name);
  }
  return fmt::format("function {}", number);
}

// Takes a string's words off the front of `words`.
std::string take_string(std::span<const uint32_t>& words) {
  std::string text;
  bool ended = false;
  while (!ended && !words.empty()) {
    for (uint32_t shift = 0; shift < 32 && !ended; shift += 8) {
      const char letter = static_cast<char>(words[0] >> shift & 0xff);
      ended = letter == '\0';
      if (!ended) text += letter;
    }
    words = words.subspan(1);
  }
  return text;
}

std::string operand_text(char kind, std::span<const uint32_t>& words) {
  if (kind == 's') return "\"" + take_string(words) + "\"";
  const uint32_t word = words[0];
  words = words.subspan(1);
  if (kind == 'n') return fmt::format("{}", word);
  if (kind == 'x') return function_name(word);
  return fmt::format("%{}", word);
}

std::string instruction_text(uint32_t op, std::span<const uint32_t> words) {
  const Row* row = row_of(op);
  std::string result, operands;
  size_t place = 0;
  while (!words.empty()) {
    char kind = 'n';
    if (row != nullptr && place < row->operands.size()) kind = row->operands[place];
    if (kind == '+') kind = row->operands[--place];
    ++place;
    const std::string text = operand_text(kind, words);
    if (kind == 'r') {
      result = text + " = ";
    } else {
      operands += " " + text;
    }
  }
  return result + (row != nullptr ? std::string(row->name) : fmt::format("Op{}", op)) + operands;
}

}  // namespace

Result<std::string> module_text(std::span<const std::byte> module) {
  constexpr size_t kHeaderWords = 5;
  std::vector<uint32_t> words(module.size() / sizeof(uint32_t));
  if (!words.empty()) std::memcpy(words.data(), module.data(), words.size() * sizeof(uint32_t));
  if (words.size() < kHeaderWords || words[0] != spv::MagicNumber) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Code of {} bytes does not start as a SPIR-V module.", module.size()));
  }
  std::string text = fmt::format("; SPIR-V {}.{}, {} ids, {} bytes\n", words[1] >> 16 & 0xff,
                                 words[1] >> 8 & 0xff, words[3], module.size());
  for (size_t at = kHeaderWords; at < words.size();) {
    const size_t length = words[at] >> 16;
    if (length == 0 || length > words.size() - at) {
      return Error(ErrorKind::invalid_argument,
                   fmt::format("Instruction at word ({}) has a length ({}) past the module's end "
                               "({}).",
                               at, length, words.size()));
    }
    const std::span<const uint32_t> operands(words.data() + at + 1, length - 1);
    text += instruction_text(words[at] & 0xffff, operands) + "\n";
    at += length;
  }
  return text;
}

}  // namespace leat::spirv
