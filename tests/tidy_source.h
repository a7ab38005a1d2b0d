// The files of the tree as the checks on its text see them: C++ with comments and literals blanked,
// its identifiers and include lines. A small scanner, not a parser: it may be fooled on purpose,
// not by accident.

#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <optional>
#include <ostream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidy {

namespace fs = std::filesystem;

struct SourceFile {
  std::string path;  // from the root of the tree
  std::string text;
  std::string code;  // the same positions; comments and the inside of literals are spaces
};

struct Finding {
  std::string path;
  size_t line = 0;  // 1-based; 0: the whole file
  std::string rule;
  std::string advice;
};
using Findings = std::vector<Finding>;

inline std::ostream& operator<<(std::ostream& out, const Finding& finding) {
  out << finding.path << ':';
  if (finding.line > 0) out << finding.line << ':';
  return out << " [" << finding.rule << "] " << finding.advice;
}

inline bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

inline bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

inline bool is_cpp(std::string_view path) {
  return path.ends_with(".h") || path.ends_with(".cpp") || path.ends_with(".def");
}

inline std::string trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return std::string(text);
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// --- C++ as text ---------------------------------------------------------------------------------

/// The position after the literal or comment that starts at `begin`, or `begin` when none does.
inline size_t skip_comment(const std::string& text, size_t begin) {
  if (text.compare(begin, 2, "//") == 0) return std::min(text.find('\n', begin), text.size());
  if (text.compare(begin, 2, "/*") != 0) return begin;
  const size_t end = text.find("*/", begin + 2);
  return end == std::string::npos ? text.size() : end + 2;
}

inline bool is_digit_separator(const std::string& text, size_t quote) {
  size_t begin = quote;
  while (begin > 0 && (is_word(text[begin - 1]) || text[begin - 1] == '\'')) --begin;
  return begin < quote && std::isdigit(static_cast<unsigned char>(text[begin])) != 0;
}

inline size_t skip_literal(const std::string& text, size_t begin) {
  const char quote = text[begin];
  if (quote != '"' && quote != '\'') return begin;
  if (quote == '\'' && is_digit_separator(text, begin)) return begin;
  if (quote == '"' && begin > 0 && text[begin - 1] == 'R') {
    const size_t open = text.find('(', begin);
    if (open == std::string::npos) return text.size();
    const std::string close = ")" + text.substr(begin + 1, open - begin - 1) + "\"";
    const size_t end = text.find(close, open);
    return end == std::string::npos ? text.size() : end + close.size();
  }
  for (size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == quote || text[i] == '\n') {
      return i + 1;
    }
  }
  return text.size();
}

/// `text` with comments and the inside of literals as spaces, line for line and column for column.
inline std::string code_of(const std::string& text) {
  std::string code = text;
  const auto blank = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (code[i] != '\n') code[i] = ' ';
    }
  };
  for (size_t i = 0; i < text.size();) {
    if (const size_t end = skip_comment(text, i); end != i) {
      blank(i, end);
      i = end;
    } else if (const size_t after = skip_literal(text, i); after != i) {
      blank(i + 1, after - 1);
      i = after;
    } else {
      ++i;
    }
  }
  return code;
}

inline SourceFile make_file(std::string path, std::string text) {
  std::string code = is_cpp(path) ? code_of(text) : std::string();
  return {std::move(path), std::move(text), std::move(code)};
}

struct Identifier {
  std::string name;
  std::string before;  // the identifier before it
  size_t line = 0;
};

inline std::vector<Identifier> identifiers_of(const std::string& code) {
  std::vector<Identifier> identifiers;
  std::string before;
  size_t line = 1;
  for (size_t i = 0; i < code.size(); ++i) {
    if (code[i] == '\n') ++line;
    if (!is_word(code[i])) continue;
    size_t end = i;
    while (end < code.size() && is_word(code[end])) ++end;
    const std::string name = code.substr(i, end - i);
    identifiers.push_back({name, before, line});
    before = name;
    i = end - 1;
  }
  return identifiers;
}

struct Include {
  std::string header;
  size_t line = 0;
};

inline std::vector<Include> includes_of(const SourceFile& file) {
  std::vector<Include> includes;
  const std::vector<std::string> text = lines_of(file.text);
  const std::vector<std::string> code = lines_of(file.code);
  for (size_t i = 0; i < code.size(); ++i) {
    if (!trimmed(code[i]).starts_with("#include")) continue;
    const size_t begin = text[i].find_first_of("\"<");
    if (begin == std::string::npos) continue;
    const size_t end = text[i].find_first_of("\">", begin + 1);
    if (end == std::string::npos) continue;
    includes.push_back({text[i].substr(begin, end - begin + 1), i + 1});
  }
  return includes;
}

// --- The tree ------------------------------------------------------------------------------------

inline std::optional<std::string> read_file(const std::string& path) {
  std::ifstream in(fs::path(LEAT_SOURCE_DIR) / path, std::ios::binary);
  if (!in) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

inline bool is_text(const fs::path& path) {
  static const std::set<std::string> extensions = {".h",   ".cpp", ".def",  ".proto", ".py",  ".md",
                                                   ".txt", ".ir",  ".json", ".csv",   ".f90", ""};
  return extensions.contains(path.extension().string());
}

/// All files that are ours; what is not text has no text. Generated files are left out.
inline std::vector<SourceFile> read_tree() {
  const fs::path root(LEAT_SOURCE_DIR);
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (entry.is_regular_file()) paths.push_back(entry.path().filename().string());
  }
  for (const char* top :
       {".ci", "bench", "bindings", "cli", "docs", "examples", "leat", "tests", "tools"}) {
    if (!fs::is_directory(root / top)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / top)) {
      if (entry.is_regular_file()) paths.push_back(fs::relative(entry.path(), root).string());
    }
  }
  std::erase_if(paths, [](const std::string& path) {
    return path.find("/generated/") != std::string::npos ||
           path.find("/__pycache__/") != std::string::npos;
  });
  std::ranges::sort(paths);
  std::vector<SourceFile> files;
  for (const std::string& path : paths) {
    files.push_back(make_file(path, is_text(path) ? read_file(path).value_or("") : ""));
  }
  return files;
}

inline const std::vector<SourceFile>& tree() {
  static const std::vector<SourceFile> files = read_tree();
  return files;
}

inline std::string report(const Findings& findings) {
  std::ostringstream out;
  for (const Finding& finding : findings) out << '\n' << finding;
  return out.str();
}

inline void expect_clean_tree(const std::function<Findings(const SourceFile&)>& rule) {
  Findings all;
  for (const SourceFile& file : tree()) {
    for (const Finding& finding : rule(file)) all.push_back(finding);
  }
  EXPECT_TRUE(all.empty()) << report(all);
}

}  // namespace tidy
