// An instruction of RDNA3 (gfx11) or RDNA4 (gfx12) as the emulator executes it: decoded once, when
// it is first reached. Field names are those of AMD's "RDNA3 Instruction Set Architecture Reference
// Guide" and "RDNA4 Instruction Set Architecture Reference Guide", section "Microcode Formats".
#pragma once

#include <cstdint>

namespace leat::amd_card {

struct Wave;
struct Instruction;

enum class Generation : uint8_t { gfx11, gfx12 };

enum class Format : uint8_t {
  sop1,
  sop2,
  sopk,
  sopc,
  sopp,
  smem,
  vop1,
  vop2,
  vopc,
  vop3,
  vop3sd,
  vop3p,
  vopd,
  ds,
  flat,
  scratch,
  global,
  mubuf,
};

/// Executes one instruction of a wave. What cannot be executed is told through Wave::fail().
using Execute = void (*)(Wave& wave, const Instruction& instruction);

inline constexpr uint16_t kNoOpcode = 0xffff;

/// One row of amd_emulator_isa.def.
struct Opcode {
  Format format;
  const char* name;
  uint16_t gfx11;  // kNoOpcode where the generation lacks it
  uint16_t gfx12;
  Execute execute;
};

// Operand codes, "Scalar Register / Source Operand Encoding" of both guides. 9 bits; from 256 on
// the vector registers.
inline constexpr uint16_t kVcc = 106;
inline constexpr uint16_t kTtmp0 = 108;
inline constexpr uint16_t kNull = 124;
inline constexpr uint16_t kM0 = 125;
inline constexpr uint16_t kExec = 126;
inline constexpr uint16_t kDpp8 = 233;
inline constexpr uint16_t kDpp8Fi = 234;
inline constexpr uint16_t kDpp16 = 250;
inline constexpr uint16_t kScc = 253;
inline constexpr uint16_t kLiteral = 255;
inline constexpr uint16_t kVgpr0 = 256;
inline constexpr uint16_t kLaneSource = 512;  // ours: the 32 values that DPP put in Wave::dpp

struct Instruction {
  Execute execute = nullptr;
  const Opcode* opcode = nullptr;
  uint64_t address = 0;
  uint32_t words[3] = {};
  uint32_t literal = 0;
  int32_t offset = 0;       // memory: byte offset; branches and SOPK: the signed 16 bits
  uint16_t dst = kNull;     // scalar code, or 256 + vector register
  uint16_t sdst = kNull;    // VOP3SD: the scalar destination
  uint16_t src[3] = {};     // operand codes; DS and memory: address, data, second data
  uint16_t saddr = kNull;   // memory: scalar base
  uint16_t vgprs_used = 0;  // highest vector register named, plus one (sizes beyond 1 are checked
                            // where they are known)
  Format encoding = Format::sopp;  // what was decoded: vop3 for a VOP1 in its long form
  uint8_t size_dwords = 1;
  uint8_t source_count = 0;
  uint8_t neg = 0, abs = 0;  // bit per source; VOP3P: neg, neg_hi
  uint8_t op_sel = 0, op_sel_hi = 0;
  uint8_t omod = 0;
  bool clamp = false;
  bool scalar_offset = false;  // SCRATCH: the vector address is used (bit SVE)
  bool returns = false;        // atomics: the old value is wanted
  // DPP: the source lanes of src[0], and the instruction that follows.
  Execute inner = nullptr;
  uint32_t dpp_word = 0;
  uint16_t dpp_code = 0;
  // VOPD: the second half.
  Execute execute_y = nullptr;
  uint16_t dst_y = 0;
  uint16_t src_y[3] = {};
};

}  // namespace leat::amd_card
