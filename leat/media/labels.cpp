// See labels.h.
#include "leat/media/labels.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "leat/base/files.h"

namespace leat {

namespace {

bool is_blank(char c) { return c == '\r' || c == '\n' || c == ' '; }

struct NumberedLine {
  size_t number = 0;
  std::string text;
};

Result<std::vector<std::string>> lines_of(std::string_view text, const std::string& path) {
  const auto bad = [&](const std::string& what) {
    return Error(ErrorKind::invalid_argument, fmt::format("Labels file \"{}\" {}.", path, what));
  };
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    while (!line.empty() && is_blank(line.back())) line.remove_suffix(1);
    if (line.size() > kLabelBytesMax) {
      return bad(
          fmt::format("has a line of ({}) bytes, the limit is ({})", line.size(), kLabelBytesMax));
    }
    if (lines.size() == kLabelsMax) {
      return bad(fmt::format("has more lines than the limit ({})", kLabelsMax));
    }
    lines.emplace_back(line);
  }
  return lines;
}

/// "281: tabby cat" as number and text; nothing when there is no number or no text behind it.
std::optional<NumberedLine> numbered(const std::string& line) {
  NumberedLine result;
  const char* const end = line.data() + line.size();
  const auto [after, code] = std::from_chars(line.data(), end, result.number);
  if (code != std::errc() || result.number >= kLabelsMax) return std::nullopt;
  const size_t at = static_cast<size_t>(after - line.data());
  const size_t text = line.find_first_not_of(" \t:,;", at);
  if (text == std::string::npos || text == at) return std::nullopt;
  result.text = line.substr(text);
  return result;
}

}  // namespace

Result<Labels> read_labels(const std::string& path) {
  TRY_ASSIGN(const std::string text, read_file(path, kLabelsFileBytesMax));
  return parse_labels(text, path);
}

Result<Labels> parse_labels(std::string_view text, const std::string& path) {
  TRY_ASSIGN(const std::vector<std::string> lines, lines_of(text, path));
  if (lines.empty()) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("Labels file \"{}\" names no class.", path));
  }
  std::vector<NumberedLine> all;
  size_t first = kLabelsMax;
  size_t last = 0;
  for (const std::string& line : lines) {
    std::optional<NumberedLine> entry = numbered(line);
    if (!entry) return lines;
    first = std::min(first, entry->number);
    last = std::max(last, entry->number);
    all.push_back(std::move(*entry));
  }
  const size_t base = first == 1 && last == lines.size() ? 1 : 0;
  Labels labels(last - base + 1);
  for (NumberedLine& entry : all) labels[entry.number - base] = std::move(entry.text);
  return labels;
}

}  // namespace leat
