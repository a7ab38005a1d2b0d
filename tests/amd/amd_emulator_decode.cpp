// RDNA3 and RDNA4 ISA, "Microcode Formats". Where the two differ the field's place is chosen by the
// generation; all bit numbers are those of the guides.
#include "tests/amd/amd_emulator_decode.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <memory>
#include <string_view>

#include "tests/amd/amd_emulator_dpp.h"
#include "tests/amd/amd_emulator_execute.h"

namespace leat::amd_card {

namespace {

constexpr uint8_t kSourceCounts[] = {
#define AMD_OP(format, sources, name, gfx11, gfx12, function) sources,
#include "tests/amd/amd_emulator_isa.def"
#undef AMD_OP
};

constexpr Opcode kOpcodes[] = {
#define AMD_OP(format, sources, name, gfx11, gfx12, function) \
  {Format::format, #name, gfx11, gfx12, exec_##function},
#include "tests/amd/amd_emulator_isa.def"
#undef AMD_OP
};

constexpr size_t kFormats = size_t(Format::mubuf) + 1;
constexpr size_t kOpcodesMax = 1024;

/// Row of an opcode number, by generation and format; -1 is none.
struct OpcodeTable {
  int16_t row[2][kFormats][kOpcodesMax];
};

const OpcodeTable& opcode_table() {
  static const auto table = [] {
    auto made = std::make_unique<OpcodeTable>();
    std::memset(made.get(), 0xff, sizeof(OpcodeTable));
    for (size_t k = 0; k < std::size(kOpcodes); ++k) {
      const Opcode& opcode = kOpcodes[k];
      for (size_t g = 0; g < 2; ++g) {
        const uint16_t number = g == 0 ? opcode.gfx11 : opcode.gfx12;
        if (number != kNoOpcode) made->row[g][size_t(opcode.format)][number] = int16_t(k);
      }
    }
    return made;
  }();
  return *table;
}

bool has(const Opcode& opcode, const char* part) {
  return std::strstr(opcode.name, part) != nullptr;
}

/// State of one decoding; each step returns false when it has set `error`.
struct Decoder {
  Generation generation;
  std::span<const uint32_t> words;
  Instruction& i;
  std::string& error;

  bool is_gfx12() const { return generation == Generation::gfx12; }
  uint32_t word(size_t k) const { return i.words[k]; }
  uint32_t bits(size_t k, uint32_t high, uint32_t low) const {
    return uint32_t(i.words[k] >> low & ((uint64_t{1} << (high - low + 1)) - 1));
  }

  bool refuse(const std::string& text) {
    error = fmt::format(
        "word{} at 0x{:x}: {}",
        [&] {
          std::string all;
          for (size_t k = 0; k < i.size_dwords; ++k) all += fmt::format(" {:08x}", i.words[k]);
          return all;
        }(),
        i.address, text);
    return false;
  }

  bool take(uint8_t size) {
    i.size_dwords = size;
    if (words.size() < size) return refuse("the instruction reaches outside of the code");
    for (size_t k = 0; k < size; ++k) i.words[k] = words[k];
    return true;
  }

  bool find(Format format, uint32_t number) {
    const int16_t row = number < kOpcodesMax
                            ? opcode_table().row[is_gfx12() ? 1 : 0][size_t(format)][number]
                            : int16_t(-1);
    if (row < 0) return refuse(fmt::format("opcode 0x{:x} of this format is not known", number));
    i.opcode = &kOpcodes[row];
    i.execute = i.opcode->execute;
    i.source_count = kSourceCounts[row];
    return true;
  }

  bool must_be_zero(size_t k, uint32_t high, uint32_t low) {
    if (bits(k, high, low) == 0) return true;
    return refuse(fmt::format("bits {}:{} of word {} are reserved", high, low, k));
  }

  /// Takes the literal behind the instruction when `code` asks for one.
  bool literal_for(uint16_t code) {
    if (code != kLiteral) return true;
    const uint8_t at = i.size_dwords;
    if (at == 3 || i.literal != 0) return true;  // taken already
    if (words.size() <= at) return refuse("the literal lies outside of the code");
    if (at < 3) i.words[at] = words[at];
    i.literal = words[at];
    has_literal = true;
    return true;
  }
  bool has_literal = false;
  bool is_with_constant() const { return has(*i.opcode, "fmamk") || has(*i.opcode, "fmaak"); }
  /// The K of D = S0 * K + S1 (fmamk) and of D = S0 * S1 + K (fmaak).
  bool take_constant() {
    if (!literal_for(kLiteral)) return false;
    i.src[2] = kLiteral;
    if (has(*i.opcode, "fmamk")) std::swap(i.src[1], i.src[2]);
    return true;
  }
  void finish_literal() {
    if (has_literal) ++i.size_dwords;
  }

  bool check_source(uint16_t code) {
    const bool is_known = code < 128 || (code >= 128 && code <= 208) || code == 235 ||
                          code == 236 || code == 237 || code == 238 ||
                          (code >= 240 && code <= 248) || code == kScc || code == kLiteral ||
                          code >= kVgpr0;
    return is_known || refuse(fmt::format("operand code {} is not known", code));
  }

  bool scalar_format();
  bool smem();
  bool check_halves();
  bool check_modifiers();
  bool check_crossing();
  bool check_delays();
  bool check_pairs();
  bool vop12c(Format format);
  bool vop3();
  bool vop3p();
  bool vopd();
  bool ds();
  bool check_memory_fields();
  bool memory_gfx11();
  bool memory_gfx12();
  bool dpp(uint8_t at);
  bool any();
};

bool Decoder::scalar_format() {
  const uint32_t first = word(0);
  Format format;
  uint32_t number;
  if (first >> 23 == 0x17d) {
    format = Format::sop1, number = bits(0, 15, 8);
    i.src[0] = uint16_t(bits(0, 7, 0));
  } else if (first >> 23 == 0x17e) {
    format = Format::sopc, number = bits(0, 22, 16);
    i.src[0] = uint16_t(bits(0, 7, 0)), i.src[1] = uint16_t(bits(0, 15, 8));
  } else if (first >> 23 == 0x17f) {
    format = Format::sopp, number = bits(0, 22, 16);
  } else if (first >> 28 == 0xb) {
    format = Format::sopk, number = bits(0, 27, 23);
  } else {
    format = Format::sop2, number = bits(0, 29, 23);
    i.src[0] = uint16_t(bits(0, 7, 0)), i.src[1] = uint16_t(bits(0, 15, 8));
  }
  i.encoding = format;
  if (!find(format, number)) return false;
  i.offset = int16_t(uint16_t(bits(0, 15, 0)));
  if (format != Format::sopc && format != Format::sopp) i.dst = uint16_t(bits(0, 22, 16));
  if (format == Format::sop1 && i.source_count == 0 && i.src[0] != 0) return refuse("source");
  if (has(*i.opcode, "s_setpc") || has(*i.opcode, "s_barrier_signal")) {
    if (!must_be_zero(0, 22, 16)) return false;
  }
  const std::string_view name = i.opcode->name;
  const bool is_bare = name == "s_endpgm" || name == "s_barrier" || name == "s_wait_idle" ||
                       name == "s_code_end" || name == "s_icache_inv";
  if (format == Format::sopp && is_bare && !must_be_zero(0, 15, 0)) return false;
  if (name == "s_delay_alu" && !check_delays()) return false;
  if (has(*i.opcode, "s_waitcnt_") && format == Format::sopk && i.dst != kNull) {
    return refuse("the register of this wait must be NULL");
  }
  if (is_with_constant() && !take_constant()) return false;
  for (uint32_t k = 0; k < i.source_count; ++k) {
    if (!check_source(i.src[k]) || !literal_for(i.src[k])) return false;
  }
  if (has(*i.opcode, "_imm32") && !literal_for(kLiteral)) return false;
  finish_literal();
  return true;
}

bool Decoder::smem() {
  if (!take(2)) return false;
  i.encoding = Format::smem;
  if (!find(Format::smem, is_gfx12() ? bits(0, 18, 13) : bits(0, 25, 18))) return false;
  i.dst = uint16_t(bits(0, 12, 6));
  i.src[0] = uint16_t(bits(0, 5, 0) * 2);
  i.saddr = uint16_t(bits(1, 31, 25));
  const uint32_t offset_bits = is_gfx12() ? 24 : 21;
  i.offset = int32_t(word(1) << (32 - offset_bits)) >> (32 - offset_bits);
  if (i.source_count == 0) return word(1) == 0 || refuse("operands of a cache instruction");
  // gfx11: bit 14 GLC and 13 DLC; gfx12: [24:23] TH, [22:21] SCOPE: policies of caches.
  if (is_gfx12())
    return must_be_zero(0, 25, 25) && must_be_zero(0, 20, 19) && must_be_zero(1, 24, 24);
  return must_be_zero(0, 17, 15) && must_be_zero(1, 24, 21);
}

/// The word of a DPP control at `at`, behind the instruction whose first source names it.
bool Decoder::dpp(uint8_t at) {
  if (words.size() <= at) return refuse("the DPP word lies outside of the code");
  i.words[at] = words[at];
  i.size_dwords = uint8_t(at + 1);
  i.dpp_code = i.src[0];
  i.dpp_word = words[at];
  i.inner = i.execute;
  i.execute = exec_dpp;
  i.src[0] = uint16_t(kVgpr0 + (i.dpp_word & 255));
  if (i.dpp_code == kDpp16) {
    i.neg = uint8_t(i.neg | (i.dpp_word >> 20 & 1) | (i.dpp_word >> 21 & 2));
    i.abs = uint8_t(i.abs | (i.dpp_word >> 21 & 1) | (i.dpp_word >> 22 & 2));
    if ((i.dpp_word >> 17 & 1) != 0) return refuse("bit 17 of the DPP word is reserved");
  }
  return true;
}

/// What a long form has fields for, but not every instruction a meaning: modifiers of floats,
/// scalar registers where a mask of lanes is read or written, vector registers where lanes are
/// crossed.
bool Decoder::check_modifiers() {
  const Opcode& opcode = *i.opcode;
  const bool is_float = has(opcode, "_f16") || has(opcode, "_f32") || has(opcode, "_f64");
  const bool is_choice = has(opcode, "cndmask");
  if (!is_float && !is_choice && (i.neg | i.abs) != 0) return refuse("neg and abs are for floats");
  if ((!is_float || opcode.format == Format::vopc) && i.omod != 0) {
    return refuse("omod is for float results");
  }
  const auto is_mask = [](uint16_t code) { return code < kTtmp0 || code == kNull; };
  const bool writes_mask = opcode.format == Format::vopc;
  if (writes_mask && !is_mask(i.dst) && i.dst != kExec) return refuse("the destination is no mask");
  if (i.sdst != kNull && !is_mask(i.sdst)) return refuse("the scalar destination is no mask");
  const bool reads_mask = is_choice || has(opcode, "_co_ci_");
  if (reads_mask && (!is_mask(i.src[2]) || ((i.neg | i.abs) & 4) != 0)) {
    return refuse("source 2 is no mask");
  }
  if (has(opcode, "class") && ((i.neg | i.abs) & 2) != 0) return refuse("source 1 is a mask");
  return check_crossing();
}

/// Sources and destinations of what moves values between lanes.
bool Decoder::check_crossing() {
  const Opcode& opcode = *i.opcode;
  const bool reads_lane = has(opcode, "readlane"), writes_lane = has(opcode, "writelane");
  const bool permutes = has(opcode, "permlane"), varies = has(opcode, "_var_");
  const auto is_vector = [&](uint32_t k) { return i.src[k] >= kVgpr0; };
  if ((reads_lane || permutes) && !is_vector(0)) return refuse("source 0 must be vector");
  if (reads_lane && i.dst >= 128) return refuse("the destination must be scalar");
  if ((reads_lane || writes_lane) && is_vector(1)) return refuse("source 1 must be scalar");
  if (writes_lane && is_vector(0)) return refuse("source 0 must be scalar");
  if (permutes && varies != is_vector(1)) return refuse("source 1 is of the wrong kind");
  return !permutes || varies || !is_vector(2) || refuse("source 2 must be scalar");
}

/// S_DELAY_ALU: INSTID0 [3:0] and INSTID1 [10:7] up to 11, INSTSKIP [6:4] up to 5.
bool Decoder::check_delays() {
  const uint32_t bits16 = uint32_t(i.offset) & 0xffff;
  const bool is_known = (bits16 & 15) < 12 && (bits16 >> 7 & 15) < 12 && (bits16 >> 4 & 7) < 6;
  return (is_known && bits16 >> 11 == 0) || refuse("the delay is not known");
}

/// In the short forms a 16-bit operand names v0 to v127, and bit 7 its upper half: LLVM writes
/// whole registers only ("fake 16"), so the halves are refused rather than emulated untested.
bool Decoder::check_halves() {
  const std::string_view name = i.opcode->name;
  bool dst = name.ends_with("16"), src = dst;
  if (name.find("cvt_pk") != name.npos || name.find("dot2acc") != name.npos) dst = src = false;
  if (name.find("_cvt_") != name.npos && name.find("cvt_pk") == name.npos) {
    dst = has(*i.opcode, "cvt_f16") || has(*i.opcode, "cvt_u16") || has(*i.opcode, "cvt_i16");
  }
  const auto is_upper = [](uint16_t code) { return code >= kVgpr0 + 128 && code < kLaneSource; };
  bool is_wrong = dst && is_upper(i.dst);
  for (uint32_t k = 0; k < i.source_count; ++k) is_wrong = is_wrong || (src && is_upper(i.src[k]));
  return !is_wrong || refuse("the upper half of a register in a short form is not known");
}

bool Decoder::vop12c(Format format) {
  i.encoding = format;
  const uint32_t number = format == Format::vop1   ? bits(0, 16, 9)
                          : format == Format::vop2 ? bits(0, 30, 25)
                                                   : bits(0, 24, 17);
  if (!find(format, number)) return false;
  i.src[0] = uint16_t(bits(0, 8, 0));
  i.src[1] = uint16_t(kVgpr0 + bits(0, 16, 9));
  if (format == Format::vopc) {
    i.dst = kVcc;
  } else if (has(*i.opcode, "readfirstlane")) {
    i.dst = uint16_t(bits(0, 24, 17));
  } else {
    i.dst = uint16_t(kVgpr0 + bits(0, 24, 17));
  }
  if (i.source_count == 0) return word(0) == 0x7e000000 || refuse("operands of v_nop");
  if (has(*i.opcode, "_co_ci_")) i.src[2] = kVcc, i.sdst = kVcc;
  if (has(*i.opcode, "cndmask")) i.src[2] = kVcc;
  if (is_with_constant()) {
    if (!take_constant()) return false;
    finish_literal();
    return check_source(i.src[0]) && check_halves();
  }
  if (!check_halves()) return false;
  if (has(*i.opcode, "readfirstlane") && i.dst >= 128) {
    return refuse("the destination must be scalar");
  }
  if ((has(*i.opcode, "readfirstlane") || has(*i.opcode, "swap")) && i.src[0] < kVgpr0) {
    return refuse("the source must be a vector register");
  }
  if (i.src[0] == kDpp16 || i.src[0] == kDpp8 || i.src[0] == kDpp8Fi) return dpp(1);
  if (!check_source(i.src[0]) || !literal_for(i.src[0])) return false;
  finish_literal();
  return true;
}

bool Decoder::vop3() {
  if (!take(2)) return false;
  i.encoding = Format::vop3;
  const uint32_t number = bits(0, 25, 16);
  bool found;
  if (number < 0x100) {
    found = find(Format::vopc, number);
  } else if (number < 0x140) {
    found = find(Format::vop2, number - 0x100);
  } else if (number >= 0x180 && number < 0x200) {
    found = find(Format::vop1, number - 0x180);
  } else {
    const bool has_sdst =
        opcode_table().row[is_gfx12() ? 1 : 0][size_t(Format::vop3sd)][number] >= 0;
    found = find(has_sdst ? Format::vop3sd : Format::vop3, number);
  }
  if (!found) return false;
  const Opcode& opcode = *i.opcode;
  if (is_with_constant() || has(opcode, "swap") || has(opcode, "dot2acc") ||
      has(opcode, "readfirstlane")) {
    return refuse("the instruction has no long form");
  }
  const bool is_sd = opcode.format == Format::vop3sd || has(opcode, "_co_ci_");
  i.src[0] = uint16_t(bits(1, 8, 0));
  i.src[1] = uint16_t(bits(1, 17, 9));
  i.src[2] = uint16_t(bits(1, 26, 18));
  i.omod = uint8_t(bits(1, 28, 27));
  i.neg = uint8_t(bits(1, 31, 29));
  i.clamp = bits(0, 15, 15) != 0;
  i.dst = uint16_t(kVgpr0 + bits(0, 7, 0));
  if (is_sd) {
    i.sdst = uint16_t(bits(0, 14, 8));
  } else {
    i.abs = uint8_t(bits(0, 10, 8));
    i.op_sel = uint8_t(bits(0, 14, 11));
    if (i.op_sel != 0 && !has(opcode, "16")) return must_be_zero(0, 14, 11);
  }
  const bool writes_scalar =
      opcode.format == Format::vopc || has(opcode, "readlane") || has(opcode, "readfirstlane");
  if (writes_scalar) i.dst = uint16_t(bits(0, 7, 0));
  if (std::strncmp(opcode.name, "v_cmpx", 6) == 0 && i.dst != kExec) {
    return refuse("the destination of v_cmpx must be EXEC");
  }
  for (uint32_t k = 0; k < 3; ++k) {
    if (k < i.source_count) {
      if (k == 0 && (i.src[0] == kDpp16 || i.src[0] == kDpp8 || i.src[0] == kDpp8Fi)) continue;
      if (!check_source(i.src[k]) || !literal_for(i.src[k])) return false;
    } else if (i.src[k] != 0 || ((i.neg | i.abs) >> k & 1) != 0) {
      return refuse(fmt::format("source {} is not one of this instruction", k));
    }
  }
  finish_literal();
  if (!check_modifiers()) return false;
  if (i.src[0] == kDpp16 || i.src[0] == kDpp8 || i.src[0] == kDpp8Fi) return dpp(2);
  return true;
}

/// Fields of VOP3P that only some of its instructions have.
bool Decoder::check_pairs() {
  const Opcode& opcode = *i.opcode;
  if (has(opcode, "wmma")) {
    const bool is_matrix = i.src[0] >= kVgpr0 && i.src[1] >= kVgpr0 &&
                           (i.src[2] >= kVgpr0 || (i.src[2] >= 128 && i.src[2] <= 248));
    if (!is_matrix) return refuse("A and B must be vector registers, C one or a constant");
    const bool has_halves = has(opcode, "v_wmma_f16") || has(opcode, "v_wmma_bf16");
    if ((i.op_sel & (has_halves && !is_gfx12() ? 3 : 7)) != 0) return refuse("OP_SEL");
    return i.op_sel_hi == 7 || refuse("OP_SEL_HI must be set");
  }
  if (i.source_count == 2 && (i.src[2] != 0 || (i.op_sel & 4) != 0 || ((i.neg | i.abs) & 4) != 0)) {
    return refuse("source 2 is not one of this instruction");
  }
  const bool takes_signs = has(opcode, "_f16") || has(opcode, "_f32") || has(opcode, "iu8");
  return takes_signs || (i.neg | i.abs) == 0 || refuse("neg is for floats");
}

bool Decoder::vop3p() {
  if (!take(2)) return false;
  i.encoding = Format::vop3p;
  if (!find(Format::vop3p, bits(0, 22, 16)) || !must_be_zero(0, 23, 23)) return false;
  i.dst = uint16_t(kVgpr0 + bits(0, 7, 0));
  i.src[0] = uint16_t(bits(1, 8, 0));
  i.src[1] = uint16_t(bits(1, 17, 9));
  i.src[2] = uint16_t(bits(1, 26, 18));
  i.op_sel = uint8_t(bits(0, 13, 11));
  i.op_sel_hi = uint8_t(bits(1, 28, 27) | bits(0, 14, 14) << 2);
  i.neg = uint8_t(bits(1, 31, 29));
  i.abs = uint8_t(bits(0, 10, 8));  // NEG_HI
  i.clamp = bits(0, 15, 15) != 0;
  for (uint32_t k = 0; k < i.source_count; ++k) {
    if (!check_source(i.src[k]) || !literal_for(i.src[k])) return false;
  }
  if (!check_pairs()) return false;
  finish_literal();
  return true;
}

// The opcodes of both halves. RDNA3 ISA, "VOPD": X knows the first 14, Y all.
constexpr Execute kDual[] = {
    exec_v_fmac_f32, exec_v_fmaak_f32,  exec_v_fmamk_f32,        exec_v_mul_f32, exec_v_add_f32,
    exec_v_sub_f32,  exec_v_subrev_f32, exec_v_mul_dx9_zero_f32, exec_v_mov_b32, exec_v_cndmask_b32,
    exec_v_max_f32,  exec_v_min_f32,    exec_v_dot2acc_f32_f16,  nullptr,        nullptr,
    nullptr,         exec_v_add_nc_u32, exec_v_lshlrev_b32,      exec_v_and_b32};
constexpr const char* kDualNames[] = {"v_dual_fmac_f32",
                                      "v_dual_fmaak_f32",
                                      "v_dual_fmamk_f32",
                                      "v_dual_mul_f32",
                                      "v_dual_add_f32",
                                      "v_dual_sub_f32",
                                      "v_dual_subrev_f32",
                                      "v_dual_mul_dx9_zero_f32",
                                      "v_dual_mov_b32",
                                      "v_dual_cndmask_b32",
                                      "v_dual_max_f32",
                                      "v_dual_min_f32",
                                      "v_dual_dot2acc_f32_f16",
                                      "",
                                      "",
                                      "",
                                      "v_dual_add_nc_u32",
                                      "v_dual_lshlrev_b32",
                                      "v_dual_and_b32"};
constexpr uint32_t kDualFmaak = 1, kDualFmamk = 2, kDualMov = 8, kDualXs = 13;
constexpr Opcode kVopd = {Format::vopd, "v_dual", kNoOpcode, kNoOpcode, exec_vopd};

bool Decoder::vopd() {
  if (!take(2)) return false;
  i.encoding = Format::vopd;
  const uint32_t x = bits(0, 25, 22), y = bits(0, 21, 17);
  if (x >= kDualXs || y >= std::size(kDual) || kDual[y] == nullptr) {
    return refuse(fmt::format("dual opcodes {} and {} are not known", x, y));
  }
  i.opcode = &kVopd;
  i.execute = exec_vopd;
  i.inner = kDual[x];
  i.execute_y = kDual[y];
  i.dst = uint16_t(kVgpr0 + bits(1, 31, 24));
  i.dst_y = uint16_t(kVgpr0 + (bits(1, 23, 17) << 1 | ((bits(1, 31, 24) & 1) ^ 1)));
  const auto half = [&](uint32_t op, uint16_t src0, uint32_t src1, uint16_t* src) {
    src[0] = src0;
    src[1] = uint16_t(kVgpr0 + src1);
    src[2] = kVcc;
    if (op == kDualFmaak) src[2] = kLiteral;
    if (op == kDualFmamk) src[2] = src[1], src[1] = kLiteral;
    if (op == kDualMov && src1 != 0) return refuse("source 1 is not one of v_dual_mov");
    return check_source(src0) && literal_for(src0) && literal_for(src[1]) && literal_for(src[2]);
  };
  if (!half(x, uint16_t(bits(0, 8, 0)), bits(0, 16, 9), i.src) ||
      !half(y, uint16_t(bits(1, 8, 0)), bits(1, 16, 9), i.src_y)) {
    return false;
  }
  finish_literal();
  // Both halves read the register file in one step, so a bank serves one of them.
  if (is_gfx12()) return true;
  // V_DUAL_FMAMK takes its VGPR by the port of the third source, as V_DUAL_FMAC its destination.
  const auto uses_second = [](uint32_t op) { return op != kDualMov && op != kDualFmamk; };
  const uint32_t second_x = bits(0, 16, 9), second_y = bits(1, 16, 9);
  if (i.src[0] >= kVgpr0 && i.src_y[0] >= kVgpr0 && i.src[0] % 4 == i.src_y[0] % 4) {
    return refuse("the first sources of both halves lie in one bank");
  }
  if (uses_second(x) && uses_second(y) && second_x % 4 == second_y % 4) {
    return refuse("the second sources of both halves lie in one bank");
  }
  if (x == kDualFmamk && y == kDualFmamk && second_x % 2 == second_y % 2) {
    return refuse("the third sources of both halves lie in one bank");
  }
  return true;
}

bool Decoder::ds() {
  if (!take(2)) return false;
  i.encoding = Format::ds;
  if (!find(Format::ds, bits(0, 25, 18)) || !must_be_zero(0, 17, 16)) return false;
  i.offset = int32_t(bits(0, 15, 0));
  i.src[0] = uint16_t(kVgpr0 + bits(1, 7, 0));
  i.src[1] = uint16_t(kVgpr0 + bits(1, 15, 8));
  i.src[2] = uint16_t(kVgpr0 + bits(1, 23, 16));
  i.dst = uint16_t(kVgpr0 + bits(1, 31, 24));
  const bool has_result = has(*i.opcode, "load") || has(*i.opcode, "rtn") ||
                          has(*i.opcode, "permute") || has(*i.opcode, "swizzle");
  const bool has_data = !has(*i.opcode, "load") && !has(*i.opcode, "swizzle");
  const bool has_second = has(*i.opcode, "store_2addr") || has(*i.opcode, "cmpstore");
  return (has_result || must_be_zero(1, 31, 24)) && (has_data || must_be_zero(1, 15, 8)) &&
         (has_second || must_be_zero(1, 23, 16));
}

/// Loads have no data, stores and atomics that return nothing no destination, cache actions
/// neither.
bool Decoder::check_memory_fields() {
  const Opcode& opcode = *i.opcode;
  const bool is_cache = has(opcode, "_inv") || has(opcode, "_wb");
  const bool has_data = has(opcode, "store") || has(opcode, "atomic");
  const bool has_result = has(opcode, "load") || i.returns;
  if (!has_data && i.src[1] != kVgpr0) return refuse("there is no data register");
  if (!has_result && i.dst != kVgpr0) return refuse("there is no destination");
  return !is_cache || (i.src[0] == kVgpr0 && i.saddr == kNull) || refuse("there is no address");
}

bool Decoder::memory_gfx11() {
  if (!take(2)) return false;
  if (word(0) >> 26 == 0x38) {
    i.encoding = Format::mubuf;
    if (!find(Format::mubuf, bits(0, 25, 18))) return false;
    return (word(1) == 0 && bits(0, 17, 0) == 0) || refuse("operands of a cache instruction");
  }
  constexpr Format kSegments[] = {Format::flat, Format::scratch, Format::global};
  const uint32_t segment = bits(0, 17, 16);
  if (segment == 3) return refuse("segment 3 is not known");
  i.encoding = kSegments[segment];
  if (!find(i.encoding, bits(0, 24, 18)) || !must_be_zero(0, 25, 25)) return false;
  i.offset = int32_t(word(0) << 19) >> 19;
  i.src[0] = uint16_t(kVgpr0 + bits(1, 7, 0));
  i.src[1] = uint16_t(kVgpr0 + bits(1, 15, 8));
  i.saddr = uint16_t(bits(1, 22, 16));
  i.dst = uint16_t(kVgpr0 + bits(1, 31, 24));
  i.scalar_offset = bits(1, 23, 23) != 0;
  i.returns = has(*i.opcode, "atomic") && bits(0, 14, 14) != 0;
  if (segment == 0 && i.offset < 0) return refuse("a flat offset must not be negative");
  if (segment == 0 && i.saddr != kNull) return refuse("flat instructions have no scalar base");
  if (segment != 1 && i.scalar_offset) return must_be_zero(1, 23, 23);
  if (segment == 1 && !i.scalar_offset && bits(1, 7, 0) != 0) return must_be_zero(1, 7, 0);
  return check_source(i.saddr) && check_memory_fields();
}

bool Decoder::memory_gfx12() {
  if (!take(3)) return false;
  constexpr Format kSegments[] = {Format::flat, Format::scratch, Format::global};
  const uint32_t segment = bits(0, 25, 24);
  if (segment == 3) return refuse("segment 3 is not known");
  i.encoding = kSegments[segment];
  if (!find(i.encoding, bits(0, 20, 14)) || !must_be_zero(0, 23, 21) || !must_be_zero(0, 13, 7)) {
    return false;
  }
  i.saddr = uint16_t(bits(0, 6, 0));
  i.dst = uint16_t(kVgpr0 + bits(1, 7, 0));
  i.scalar_offset = bits(1, 17, 17) != 0;
  i.src[1] = uint16_t(kVgpr0 + bits(1, 30, 23));
  i.src[0] = uint16_t(kVgpr0 + bits(2, 7, 0));
  i.offset = int32_t(word(2)) >> 8;
  i.returns = has(*i.opcode, "atomic") && bits(1, 20, 20) != 0;  // TH[0] of an atomic
  if (!must_be_zero(1, 31, 31) || !must_be_zero(1, 16, 8)) return false;
  if (segment == 0 && i.saddr != kNull) return refuse("flat instructions have no scalar base");
  if (segment != 1 && i.scalar_offset) return must_be_zero(1, 17, 17);
  return check_source(i.saddr) && check_memory_fields();
}

bool Decoder::any() {
  if (!take(1)) return false;
  const uint32_t first = word(0);
  if (first >> 31 == 0) {
    const uint32_t top = first >> 25;
    return vop12c(top == 0x3f ? Format::vop1 : top == 0x3e ? Format::vopc : Format::vop2);
  }
  if (first >> 30 == 2) return scalar_format();
  switch (first >> 26) {
    case 0x3d: return smem();
    case 0x35: return vop3();
    case 0x33: return first >> 24 == 0xcc ? vop3p() : refuse("the format is not known");
    case 0x32: return vopd();
    case 0x36: return ds();
    case 0x37:
    case 0x38: return is_gfx12() ? refuse("the format is not known") : memory_gfx11();
    case 0x3b: return is_gfx12() ? memory_gfx12() : refuse("the format is not known");
    default: return refuse("the format is not known");
  }
}

std::string operand_text(uint16_t code, const Instruction& i) {
  if (code >= kVgpr0) return fmt::format("v{}", code - kVgpr0);
  if (code < kVcc) return fmt::format("s{}", code);
  if (code == kVcc) return "vcc_lo";
  if (code == kVcc + 1) return "vcc_hi";
  if (code == kNull) return "null";
  if (code == kM0) return "m0";
  if (code == kExec) return "exec_lo";
  if (code == kExec + 1) return "exec_hi";
  if (code < kNull) return fmt::format("ttmp{}", code - kTtmp0);
  if (code == kLiteral) return fmt::format("0x{:x}", i.literal);
  if (code <= 192) return fmt::format("{}", code - 128);
  if (code <= 208) return fmt::format("{}", 192 - int(code));
  return fmt::format("#{}", code);
}

}  // namespace

std::span<const Opcode> opcodes() { return kOpcodes; }

bool decode(Generation generation, std::span<const uint32_t> words, uint64_t address,
            Instruction& out, std::string& error) {
  out = Instruction{};
  out.address = address;
  Decoder decoder{generation, words, out, error};
  return decoder.any();
}

bool generation_of(const std::string& target, Generation& out) {
  out = target.starts_with("gfx12") ? Generation::gfx12 : Generation::gfx11;
  return target.starts_with("gfx11") || target.starts_with("gfx12");
}

std::string text_of(const Instruction& i) {
  if (i.encoding == Format::vopd) {
    const auto half = [&](Execute execute, uint16_t dst, const uint16_t* src) {
      std::string text;
      for (size_t k = 0; k < std::size(kDual); ++k) {
        if (kDual[k] == execute) text = kDualNames[k];
      }
      const bool one = execute == kDual[kDualMov];
      text += fmt::format(" {}, {}", operand_text(dst, i), operand_text(src[0], i));
      if (!one) text += ", " + operand_text(src[1], i);
      if (execute == kDual[kDualFmaak] || execute == kDual[kDualFmamk]) {
        text += ", " + operand_text(src[2], i);
      }
      return text;
    };
    return half(i.inner, i.dst, i.src) + " :: " + half(i.execute_y, i.dst_y, i.src_y);
  }
  std::string text = i.opcode->name;
  std::string separator = " ";
  const auto add = [&](uint16_t code) {
    text += separator + operand_text(code, i);
    separator = ", ";
  };
  if (i.encoding != Format::sopc && i.encoding != Format::sopp) add(i.dst);
  if (i.sdst != kNull) add(i.sdst);
  for (uint32_t k = 0; k < i.source_count; ++k) add(i.src[k]);
  return text;
}

}  // namespace leat::amd_card
