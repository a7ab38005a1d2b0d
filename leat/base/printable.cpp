// See printable.h. Source of what may not be shown: Unicode Standard 15.0, the categories Cc, Cf,
// Zl and Zp (DerivedGeneralCategory.txt) and what is drawn as nothing (Default_Ignorable_Code_Point
// of DerivedCoreProperties.txt), save the selectors U+FE00 to U+FE0F, which emoji are written with.
#include "leat/base/printable.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace leat {

namespace {

struct CodeRange {
  char32_t first;
  char32_t last;
};

// Sorted.
constexpr CodeRange kHidden[] = {
    {0x0000, 0x001F},    // C0
    {0x007F, 0x009F},    // DEL, C1
    {0x00AD, 0x00AD},    // soft hyphen
    {0x034F, 0x034F},    // combining grapheme joiner
    {0x0600, 0x0605},    // Arabic number signs
    {0x061C, 0x061C},    // Arabic letter mark
    {0x06DD, 0x06DD},    // Arabic end of ayah
    {0x070F, 0x070F},    // Syriac abbreviation mark
    {0x0890, 0x0891},    // Arabic pound and piastre marks
    {0x08E2, 0x08E2},    // Arabic disputed end of ayah
    {0x115F, 0x1160},    // Hangul fillers
    {0x17B4, 0x17B5},    // Khmer inherent vowels
    {0x180B, 0x180F},    // Mongolian selectors
    {0x200B, 0x200F},    // zero widths, direction marks
    {0x2028, 0x202E},    // line and paragraph separators, embeddings and overrides
    {0x2060, 0x206F},    // word joiner, isolates
    {0x3164, 0x3164},    // Hangul filler
    {0xFEFF, 0xFEFF},    // byte order mark
    {0xFFA0, 0xFFA0},    // half width Hangul filler
    {0xFFF0, 0xFFFB},    // interlinear annotation
    {0x110BD, 0x110BD},  // Kaithi number sign
    {0x110CD, 0x110CD},  // Kaithi number sign above
    {0x13430, 0x1343F},  // Egyptian format controls
    {0x1BCA0, 0x1BCA3},  // shorthand format controls
    {0x1D173, 0x1D17A},  // musical format controls
    {0xE0000, 0xE0FFF},  // tags, further selectors
};

bool is_hidden(char32_t code) {
  const auto range = std::ranges::lower_bound(kHidden, code, {}, &CodeRange::last);
  return range != std::end(kHidden) && range->first <= code;
}

struct Character {
  size_t size_bytes = 1;
  bool is_shown = false;
};

/// The first character of `text`, which is not empty; a byte that begins none is one by itself.
Character first_of(std::string_view text) {
  const auto byte = [&](size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {1, !is_hidden(lead)};
  const size_t size_bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < size_bytes) return {};
  char32_t code = lead & (0x7Fu >> size_bytes);
  for (size_t i = 1; i < size_bytes; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3Fu);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};  // by length
  const bool is_surrogate = code >= 0xD800 && code <= 0xDFFF;
  if (code < kSmallest[size_bytes] || code > 0x10FFFF || is_surrogate) return {};
  return {size_bytes, !is_hidden(code)};
}

void append_escaped(std::string& result, std::string_view bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    result += {'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]};
  }
}

std::string escaped(std::string_view text, size_t bytes_max, bool keeps_lines) {
  std::string result;
  while (!text.empty()) {
    if (result.size() >= bytes_max) return result + "...";
    const Character character = first_of(text);
    const std::string_view bytes = text.substr(0, character.size_bytes);
    if (character.is_shown || (keeps_lines && bytes == "\n")) {
      result += bytes;
    } else {
      append_escaped(result, bytes);
    }
    text.remove_prefix(character.size_bytes);
  }
  return result;
}

}  // namespace

std::string printable(std::string_view text, size_t bytes_max) {
  return escaped(text, bytes_max, false);
}

std::string printable_lines(std::string_view text) { return escaped(text, SIZE_MAX, true); }

std::string quoted(std::string_view text) {
  std::string marked;
  for (const char c : text) {
    if (c == '"' || c == '\\') marked += '\\';
    marked += c;
  }
  return '"' + escaped(marked, SIZE_MAX, false) + '"';
}

}  // namespace leat
