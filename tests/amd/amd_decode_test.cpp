// Every row of the table of instructions against LLVM: words with drawn operands are read by LLVM's
// disassembler and by the emulator's decoder, and what both accept must be the same instruction on
// the same registers. A word that the decoder accepts and LLVM does not would be a guess.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <regex>
#include <set>

#include "tests/amd/amd_emulator_decode.h"
#include "tests/amd/llvm_amd_compiler.h"

namespace leat::amd_card {
namespace {

using Words = std::vector<uint32_t>;
constexpr int kDraws = 60;

/// Words of `opcode` with drawn operands; most fields are small, so that registers exist.
Words draw_words(const Opcode& opcode, bool is_gfx12, bool is_long, std::mt19937& random) {
  const uint32_t op = is_gfx12 ? opcode.gfx12 : opcode.gfx11;
  const auto pick = [&](uint32_t limit) { return uint32_t(random()) % limit; };
  const auto scalar = [&] {
    const uint32_t kinds[] = {2 * pick(50), 2 * pick(50), 106, 128 + pick(65), 240 + pick(8), 255};
    return kinds[pick(6)];
  };
  const auto source = [&] { return pick(2) != 0 ? 256 + pick(250) : scalar(); };
  const uint32_t vdst = pick(250), literal = uint32_t(random()) | 1;
  const uint32_t sdst = 2 * pick(50);
  const uint32_t srcs[3] = {source(), source(), source()};
  const std::string name = opcode.name;
  if (name == "s_endpgm") return {0xbf800000 | op << 16};
  if (name == "v_nop") return {0x7e000000};
  if (name == "s_barrier_signal") return {0xbe800000 | op << 8 | 193};
  if (name == "s_setpc_b64") return {0xbe800000 | op << 8 | 2 * pick(50)};
  if (name == "s_getpc_b64") return {0xbe800000 | sdst << 16 | op << 8};
  if (name == "ds_nop") return {0xd8000000 | op << 18, 0};
  if (name.ends_with("_inv") && opcode.format == Format::smem) return {0xf4000000 | op << 18, 0};
  if (is_long) {
    const uint32_t base = opcode.format == Format::vop1   ? 0x180
                          : opcode.format == Format::vop2 ? 0x100
                                                          : 0;
    const uint32_t modifiers = pick(3) == 0 ? pick(8) << 29 : 0;
    const uint32_t third = pick(2) != 0 ? srcs[2] : 0;
    return {0xd4000000 | (base + op) << 16 | (pick(4) == 0 ? pick(8) << 8 : 0) |
                (pick(2) != 0 ? vdst : sdst),
            srcs[0] | srcs[1] << 9 | third << 18 | modifiers, literal};
  }
  switch (opcode.format) {
    case Format::sop1: return {0xbe800000 | sdst << 16 | op << 8 | scalar(), literal};
    case Format::sop2:
      return {0x80000000 | op << 23 | sdst << 16 | scalar() << 8 | scalar(), literal};
    case Format::sopc: return {0xbf000000 | op << 16 | scalar() << 8 | scalar(), literal};
    case Format::sopk: {
      const uint32_t into = name.starts_with("s_waitcnt_") ? 124 : sdst;
      return {0xb0000000 | op << 23 | into << 16 | pick(65536), literal};
    }
    case Format::sopp: return {0xbf800000 | op << 16 | (pick(2) != 0 ? pick(65536) : 0)};
    case Format::smem: {
      const uint32_t place = is_gfx12 ? 13 : 18;
      const uint32_t base = pick(40), into = 4 * pick(20), more = pick(2) != 0 ? 124 : pick(100);
      return {0xf4000000 | op << place | into << 6 | base, more << 25 | pick(1 << 20)};
    }
    case Format::vop1: return {0x7e000000 | vdst << 17 | op << 9 | srcs[0], literal};
    case Format::vop2: return {op << 25 | vdst << 17 | pick(250) << 9 | srcs[0], literal};
    case Format::vopc: return {0x7c000000 | op << 17 | pick(250) << 9 | srcs[0], literal};
    case Format::vop3sd:
      return {0xd4000000 | op << 16 | sdst << 8 | vdst,
              srcs[0] | srcs[1] << 9 | (op < 0x300 ? srcs[2] << 18 : 0), literal};
    case Format::vop3:
      return {0xd4000000 | op << 16 | (pick(4) == 0 ? pick(8) << 8 : 0) | vdst,
              srcs[0] | srcs[1] << 9 | (pick(2) != 0 ? srcs[2] << 18 : 0) |
                  (pick(4) == 0 ? pick(8) << 29 : 0),
              literal};
    case Format::vop3p: {
      const bool is_matrix = name.find("wmma") != name.npos;
      uint32_t from[3] = {srcs[0], srcs[1], pick(2) != 0 ? srcs[2] : 0};
      if (is_matrix) {
        for (uint32_t& code : from) code = 256 + pick(240);
      }
      const uint32_t halves = is_matrix ? 8 : pick(2) != 0 ? pick(16) : 8;  // [14:11]
      return {0xcc000000 | op << 16 | halves << 11 | vdst % 240,
              from[0] | from[1] << 9 | from[2] << 18 | 3U << 27, literal};
    }
    case Format::ds:
      return {0xd8000000 | op << 18 | pick(65536),
              (pick(2) != 0 ? vdst << 24 : 0) | (pick(2) != 0 ? pick(250) << 16 : 0) |
                  (pick(3) != 0 ? pick(250) << 8 : 0) | pick(250)};
    case Format::flat:
    case Format::global:
    case Format::scratch: {
      const uint32_t segment = opcode.format == Format::flat      ? 0
                               : opcode.format == Format::scratch ? 1
                                                                  : 2;
      const uint32_t data = pick(2) != 0 ? pick(250) : 0, into = pick(2) != 0 ? vdst : 0;
      const uint32_t base = segment == 0 || pick(2) != 0 ? 124 : 2 * pick(50);
      const uint32_t sve = segment == 1 ? pick(2) : 0;
      const uint32_t at = pick(4) == 0 ? 0 : pick(250);
      if (is_gfx12) {
        return {0xec000000 | segment << 24 | op << 14 | base,
                into | sve << 17 | data << 23 | (pick(3) == 0 ? 1U << 20 : 0),
                at | pick(4096) << 8};
      }
      return {0xdc000000 | op << 18 | segment << 16 | pick(4096) | (pick(3) == 0 ? 1U << 14 : 0),
              into << 24 | sve << 23 | base << 16 | data << 8 | at};
    }
    case Format::mubuf: return {0xe0000000 | op << 18, 0};
    case Format::vopd: break;
  }
  return {};
}

/// "v3", "s4", "vcc_lo", ... in the order of the text; of a range the first.
std::vector<std::string> registers_in(const std::string& text) {
  static const std::regex pattern(
      R"(\b(v|s|ttmp)(\d+|\[(\d+)(:\d+)?\])|\b(vcc|exec)(_lo|_hi)?\b|\bm0\b|\bnull\b)");
  std::vector<std::string> found;
  for (auto at = std::sregex_iterator(text.begin(), text.end(), pattern);
       at != std::sregex_iterator(); ++at) {
    if ((*at)[5].matched) {
      found.push_back((*at)[5].str() + ((*at)[6].matched ? (*at)[6].str() : "_lo"));
    } else if ((*at)[3].matched) {
      found.push_back((*at)[1].str() + (*at)[3].str());
    } else {
      found.push_back(at->str());
    }
  }
  return found;
}

std::string mnemonic_of(const std::string& text) {
  static const std::regex suffix("(_e32|_e64)?(_dpp)?$");
  return std::regex_replace(text.substr(0, text.find_first_of(" \t")), suffix, "");
}

/// What the decoder read, as LLVM would name the registers. Memory formats name theirs in other
/// orders, so both lists are compared as sets there.
std::vector<std::string> registers_of(const Instruction& i) {
  std::vector<std::string> found = registers_in(text_of(i).substr(std::strlen(i.opcode->name)));
  const std::string name = i.opcode->name;
  if (name.starts_with("v_cmpx")) found.erase(found.begin());
  if (name == "s_setpc_b64" || name == "s_barrier_signal") found.erase(found.begin());
  if (name.starts_with("s_waitcnt_") && i.encoding == Format::sopk) found = {"null"};
  if (name.starts_with("s_setreg_imm32")) found.clear();
  if (name == "v_nop") found.clear();
  return found;
}

bool is_memory(Format format) {
  return format == Format::smem || format == Format::ds || format == Format::flat ||
         format == Format::global || format == Format::scratch || format == Format::mubuf;
}

struct Tally {
  int both = 0, refused_by_us = 0, refused_by_llvm = 0;
  std::string example;
};

void compare(const std::string& target, Generation generation, const Words& words, Tally& tally) {
  Instruction i;
  std::string error;
  const bool is_decoded = decode(generation, words, 0x1000, i, error);
  const Disassembled theirs = disassemble(target, words);
  // It prints what is wrong behind what it could read.
  const bool is_theirs = !theirs.text.empty() && theirs.text.find("illegal") == std::string::npos &&
                         theirs.text.find("nvalid") == std::string::npos &&
                         theirs.text.find("Warning") == std::string::npos;
  if (!is_decoded || !is_theirs) {
    if (is_decoded) {
      ++tally.refused_by_llvm;
      tally.example =
          fmt::format("{:08x} {:08x} {}", words[0], words.size() > 1 ? words[1] : 0, text_of(i));
    } else if (is_theirs) {
      ++tally.refused_by_us;
    }
    return;
  }
  ++tally.both;
  EXPECT_EQ(mnemonic_of(theirs.text), i.opcode->name) << theirs.text;
  EXPECT_EQ(theirs.size_dwords, i.size_dwords) << theirs.text << " | " << text_of(i);
  const auto expected = registers_in(theirs.text.substr(theirs.text.find_first_of(" \t") + 1));
  if (!is_memory(i.encoding)) {
    EXPECT_EQ(expected, registers_of(i)) << theirs.text << " | " << text_of(i);
    return;
  }
  std::set<std::string> known;
  Instruction only = i;
  for (const uint16_t code : {i.dst, i.src[0], i.src[1], i.src[2], i.saddr}) {
    only.dst = code;
    only.encoding = Format::sopk;
    only.source_count = 0;
    only.sdst = kNull;
    for (const std::string& name : registers_in(text_of(only).substr(8))) known.insert(name);
  }
  for (const std::string& name : expected) {
    EXPECT_TRUE(known.contains(name)) << theirs.text << " names " << name;
  }
}

class DecodeTest : public testing::TestWithParam<std::string> {};

TEST_P(DecodeTest, AgreesWithLlvm) {
  const std::string target = GetParam();
  Generation generation;
  ASSERT_TRUE(generation_of(target, generation));
  const bool is_gfx12 = generation == Generation::gfx12;
  std::mt19937 random(20261129);
  int rows = 0, guesses = 0;
  std::string guess;
  for (const Opcode& opcode : opcodes()) {
    if ((is_gfx12 ? opcode.gfx12 : opcode.gfx11) == kNoOpcode) continue;
    const bool has_long = opcode.format == Format::vop1 || opcode.format == Format::vop2 ||
                          opcode.format == Format::vopc;
    Tally tally;
    for (int k = 0; k < kDraws; ++k) {
      Words words = draw_words(opcode, is_gfx12, has_long && k % 2 == 1, random);
      words.resize(std::max<size_t>(words.size(), 3));
      compare(target, generation, words, tally);
    }
    ++rows;
    EXPECT_GT(tally.both, 0) << opcode.name << ": no drawn word was accepted by both";
    guesses += tally.refused_by_llvm;
    if (tally.refused_by_llvm > 0) guess += tally.example + "\n";
  }
  EXPECT_GT(rows, 500);
  EXPECT_EQ(guesses, 0) << guess;
}

INSTANTIATE_TEST_SUITE_P(Targets, DecodeTest, testing::Values("gfx1100", "gfx1201"));

}  // namespace
}  // namespace leat::amd_card
