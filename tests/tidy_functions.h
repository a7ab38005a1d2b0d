// Finds the functions of a C++ file by matching braces and looking at what stands before them.

#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tests/tidy_source.h"

namespace tidy {

struct Function {
  std::string name;
  size_t first_line = 0;
  size_t last_line = 0;
};

inline size_t matching_brace(const std::string& code, size_t open) {
  size_t depth = 0;
  for (size_t i = open; i < code.size(); ++i) {
    if (code[i] == '{') ++depth;
    if (code[i] == '}' && --depth == 0) return i;
  }
  return code.size() - 1;
}

/// Preprocessor lines as spaces: a macro's body need not balance its braces.
inline std::string without_preprocessor(std::string code) {
  bool inside = false;
  for (size_t begin = 0; begin < code.size();) {
    const size_t end = std::min(code.find('\n', begin), code.size());
    const std::string line = trimmed(std::string_view(code).substr(begin, end - begin));
    inside = inside || line.starts_with("#");
    if (inside) std::fill(code.begin() + ptrdiff_t(begin), code.begin() + ptrdiff_t(end), ' ');
    inside = inside && line.ends_with("\\");
    begin = end + 1;
  }
  return code;
}

/// What stands between the last `;`, `{` or `}` and a `{`, without a leading `template <...>`.
inline std::string head_of(const std::string& text) {
  std::string head = trimmed(text);
  while (head.starts_with("template")) {
    size_t end = head.find('<');
    if (end == std::string::npos) break;
    int depth = 0;
    do {
      if (head[end] == '<') ++depth;
      if (head[end] == '>') --depth;
      ++end;
    } while (end < head.size() && depth > 0);
    head = trimmed(std::string_view(head).substr(end));
  }
  return head;
}

enum class BraceKind { scope, function, value };

inline BraceKind brace_kind(const std::string& head) {
  static const std::set<std::string> scopes = {"namespace", "class", "struct",
                                               "union",     "enum",  "extern"};
  const size_t close = head.rfind(')');
  const std::string tail = close == std::string::npos ? head : head.substr(close + 1);
  for (const Identifier& identifier : identifiers_of(tail)) {
    if (scopes.contains(identifier.name)) return BraceKind::scope;
  }
  const std::vector<Identifier> words = identifiers_of(head);
  if (!words.empty() && scopes.contains(words[0].name) && words[0].name != "extern") {
    const bool is_return_type = words.size() > 2 && head.ends_with(")");
    if (!is_return_type) return BraceKind::scope;
  }
  if (close == std::string::npos || head.ends_with("=")) return BraceKind::value;
  return BraceKind::function;
}

inline std::string function_name(const std::string& head) {
  static const std::set<std::string> not_names = {"alignas", "decltype", "explicit", "requires"};
  if (const size_t begin = head.find("operator"); begin != std::string::npos) {
    return trimmed(head.substr(begin, head.find('(', begin + 9) - begin));
  }
  for (size_t open = head.find('('); open != std::string::npos; open = head.find('(', open + 1)) {
    size_t end = open;
    while (end > 0 && is_space(head[end - 1])) --end;
    size_t begin = end;
    while (begin > 0 && (is_word(head[begin - 1]) || head[begin - 1] == ':')) --begin;
    const std::string name = head.substr(begin, end - begin);
    if (name.starts_with("TEST")) return head;
    if (!name.empty() && !not_names.contains(name)) return name;
  }
  return "lambda";
}

inline bool is_access_specifier(const std::string& text) {
  const std::string word = trimmed(text);
  return word == "public" || word == "private" || word == "protected";
}

/// Walks over the code outside of functions, and over each function's body in one step.
class FunctionFinder {
 public:
  explicit FunctionFinder(const std::string& code) : code_(without_preprocessor(code)) {}

  std::vector<Function> find() {
    while (position_ < code_.size()) step();
    return functions_;
  }

 private:
  void step() {
    const char c = code_[position_];
    if (c == '{') return open();
    if (c == '(') ++parentheses_;
    if (c == ')') --parentheses_;
    const bool ends_statement = c == '}' || (c == ';' && parentheses_ == 0);
    if (ends_statement || (c == ':' && is_access_specifier(head_))) {
      head_.clear();
    } else if (!head_.empty() || !is_space(c)) {
      if (head_.empty()) head_line_ = line_;
      head_.push_back(c);
    }
    advance(position_ + 1);
  }

  void open() {
    const std::string head = head_of(head_);
    const BraceKind kind = parentheses_ > 0 ? BraceKind::value : brace_kind(head);
    if (kind == BraceKind::scope) {
      head_.clear();
      return advance(position_ + 1);
    }
    advance(matching_brace(code_, position_));
    if (kind == BraceKind::function) functions_.push_back({function_name(head), head_line_, line_});
    advance(position_ + 1);
    head_ += "{}";
    if (kind == BraceKind::function && !is_member_initializer()) head_.clear();
  }

  /// Whether the brace just closed was `a_{1}` in `Type() : a_{1}, b_{2} {}`.
  bool is_member_initializer() const {
    const size_t next = code_.find_first_not_of(" \n\t", position_);
    return next != std::string::npos && (code_[next] == ',' || code_[next] == '{');
  }

  void advance(size_t position) {
    const auto begin = code_.begin() + ptrdiff_t(position_);
    const auto end = code_.begin() + ptrdiff_t(std::min(position, code_.size()));
    line_ += size_t(std::count(begin, end, '\n'));
    position_ = position;
  }

  std::string code_;
  std::vector<Function> functions_;
  std::string head_;
  size_t head_line_ = 1;
  size_t line_ = 1;
  size_t position_ = 0;
  int parentheses_ = 0;
};

inline std::vector<Function> functions_of(const std::string& code) {
  return FunctionFinder(code).find();
}

}  // namespace tidy
