// A recursive-descent parser with one token of look-ahead: its tokens, names and declarations. The
// grammar is that of docs/kernel-format.md; line ends mean nothing. Value names live in the block
// that defines them, like the values themselves, so a use out of scope is found here.
#include "leat/ir/parse.h"

#include <fmt/format.h>

#include <charconv>

#include "leat/ir/parser.h"
#include "leat/ir/text.h"

namespace leat::ir {
namespace {

using Kind = Token::Kind;

std::optional<Scalar> scalar_named(std::string_view name) {
  if (name == "f32") return Scalar::f32;
  if (name == "i32") return Scalar::i32;
  if (name == "b1") return Scalar::b1;
  if (name == "i64") return Scalar::i64;
  if (name == "f64") return Scalar::f64;
  return std::nullopt;
}

// Cuts "x2" or "x4" off; 0 where another width is asked for.
uint8_t take_width(std::string_view& name) {
  if (name.size() <= 2 || name[name.size() - 2] != 'x') return 1;
  const char digit = name.back();
  name.remove_suffix(2);
  return digit == '2' || digit == '4' ? static_cast<uint8_t>(digit - '0') : uint8_t{0};
}

std::optional<DType> storage_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(DType::boolean); ++i) {
    const DType storage = static_cast<DType>(i);
    if (compute_of(storage) != Scalar::b1 && name_of(storage) == name) return storage;
  }
  return std::nullopt;
}

std::optional<Role> role_named(std::string_view name) {
  if (name == "a") return Role::a;
  if (name == "b") return Role::b;
  if (name == "sum") return Role::sum;
  return std::nullopt;
}

// Takes `letter` and the number behind it off the front.
template <typename Number>
bool take_number(std::string_view& text, char letter, Number& number) {
  if (text.empty() || text[0] != letter) return false;
  const char* end = text.data() + text.size();
  const std::from_chars_result read = std::from_chars(text.data() + 1, end, number);
  if (read.ec != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(read.ptr - text.data()));
  return true;
}

/// "a.f16.m16n8k16", "sum.f32.m64n256k16w4".
std::optional<Type> fragment_named(std::string_view name) {
  const size_t first = name.find('.'), second = name.find('.', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const std::optional<Role> role = role_named(name.substr(0, first));
  const std::string_view element = name.substr(first + 1, second - first - 1);
  const std::optional<DType> storage = storage_named(element == "tf32" ? "f32" : element);
  if (!role || !storage) return std::nullopt;
  Fragment fragment = {.role = *role, .tf32 = element == "tf32"};
  fragment.element = *storage;
  std::string_view shape = name.substr(second + 1);
  const bool has_shape = take_number(shape, 'm', fragment.m) &&
                         take_number(shape, 'n', fragment.n) && take_number(shape, 'k', fragment.k);
  if (!has_shape || (!shape.empty() && !take_number(shape, 'w', fragment.waves))) {
    return std::nullopt;
  }
  if (!shape.empty()) return std::nullopt;
  return Type{compute_of(*storage), 1, false, fragment};
}

}  // namespace

std::optional<Type> type_named(std::string_view name) {
  if (const std::optional<Type> fragment = fragment_named(name)) return fragment;
  if (!name.starts_with("u.") && !name.starts_with("v.")) return std::nullopt;
  Type type = {.varying = name[0] == 'v'};
  name.remove_prefix(2);
  type.width = take_width(name);
  const std::optional<Scalar> scalar = scalar_named(name);
  if (!scalar || type.width == 0) return std::nullopt;
  type.scalar = *scalar;
  return type;
}

// --- Tokens ---

Token Parser::take() {
  const Token taken = token_;
  taken_ = next_place();
  token_ = lexer_.next();
  return taken;
}

Error Parser::misused(const Token& token, std::string message) const {
  return Error(ErrorKind::invalid_argument,
               fmt::format("{}:{}:{}: {}", file_, token.line, token.column, message));
}

Error Parser::error_at(const Token& token, std::string_view what) const {
  constexpr size_t kShownMax = 40;
  std::string found = token.kind == Kind::end
                          ? "the end of the text"
                          : fmt::format("\"{}\"", token.text.substr(0, kShownMax));
  if (token.kind == Kind::value) found.insert(1, "%");
  return misused(token, fmt::format("The text has {} where {} is expected.", found, what));
}

bool Parser::skip_symbol(char symbol) {
  if (!is_symbol(symbol)) return false;
  take();
  return true;
}

bool Parser::skip_word(std::string_view word) {
  if (!is_word(word)) return false;
  take();
  return true;
}

Result<void> Parser::parse_symbol(char symbol) {
  if (!skip_symbol(symbol)) return expected(fmt::format("\"{}\"", symbol));
  return {};
}

Result<void> Parser::parse_word(std::string_view word) {
  if (!skip_word(word)) return expected(fmt::format("\"{}\"", word));
  return {};
}

Result<int64_t> Parser::parse_int(int64_t lo, int64_t hi, std::string_view what) {
  int64_t value = 0;
  const char* end = token_.text.data() + token_.text.size();
  const bool is_number = token_.kind == Kind::number;
  const std::from_chars_result read = std::from_chars(token_.text.data(), end, value);
  if (!is_number || read.ec != std::errc() || read.ptr != end || value < lo || value > hi) {
    return expected(fmt::format("{} ({} to {})", what, lo, hi));
  }
  take();
  return value;
}

Result<std::string> Parser::parse_string() {
  if (token_.kind != Kind::string) return expected("a string in quotes");
  const Token token = take();
  std::string result;
  for (size_t i = 0; i < token.text.size(); ++i) {
    if (token.text[i] != '\\') {
      result += token.text[i];
      continue;
    }
    const char escape = ++i < token.text.size() ? token.text[i] : '\0';
    if (escape == '"' || escape == '\\') {
      result += escape;
      continue;
    }
    unsigned char byte = 0;
    const char* digits = token.text.data() + i + 1;
    if (escape != 'x' || i + 2 >= token.text.size() ||
        std::from_chars(digits, digits + 2, byte, 16).ptr != digits + 2) {
      return misused(token, "A string has an escape other than \\\", \\\\ and \\xNN.");
    }
    result += static_cast<char>(byte);
    i += 2;
  }
  return result;
}

Result<std::string> Parser::parse_new_name() {
  const bool is_name =
      token_.kind == Kind::word && token_.text.find_first_of(".-") == std::string_view::npos;
  if (!is_name) return expected("a name");
  const Token token = take();
  const std::string name(token.text);
  if (program_.parameters.size() + program_.locals.size() >= kDeclarationsMax) {
    return misused(token, fmt::format("The parameters and locals are more than the limit ({}).",
                                      kDeclarationsMax));
  }
  bool is_taken = false;
  for (const Parameter& parameter : program_.parameters) is_taken |= parameter.name == name;
  for (const LocalMemory& local : program_.locals) is_taken |= local.name == name;
  if (is_taken) return misused(token, fmt::format("The name \"{}\" is declared twice.", name));
  return name;
}

// --- Values ---

void Parser::close_scope() {
  for (std::string_view name : scopes_.back()) names_.erase(name);
  scopes_.pop_back();
}

Result<ValueId> Parser::parse_use() {
  if (token_.kind != Kind::value) return expected("a value");
  const Token token = take();
  const auto found = names_.find(token.text);
  if (found != names_.end()) return found->second;
  return misused(token, fmt::format("Value \"%{}\" is not defined here.", token.text));
}

Result<std::vector<ValueId>> Parser::parse_uses() {
  std::vector<ValueId> uses;
  if (token_.kind != Kind::value) return uses;
  do {
    const Token token = token_;
    TRY_ASSIGN(const ValueId use, parse_use());
    uses.push_back(use);
    if (uses.size() > UINT8_MAX) {
      return misused(
          token, fmt::format("The list of values is longer than the limit ({}).", int{UINT8_MAX}));
    }
  } while (skip_symbol(','));
  return uses;
}

Result<Declared> Parser::parse_declared() {
  if (token_.kind != Kind::value) return expected("a value");
  Declared declared{.name = take()};
  TRY(parse_symbol(':'));
  const std::optional<Type> type =
      token_.kind == Kind::word ? type_named(token_.text) : std::nullopt;
  if (!type) return expected("a type such as \"u.i32\" or \"v.f32x4\"");
  take();
  declared.type = *type;
  return declared;
}

Result<ValueId> Parser::define(const Declared& declared) {
  const ValueId id = static_cast<ValueId>(program_.values.size());
  if (!names_.emplace(declared.name.text, id).second) {
    return misused(declared.name,
                   fmt::format("Value \"%{}\" is defined twice.", declared.name.text));
  }
  scopes_.back().push_back(declared.name.text);
  program_.values.push_back(declared.type);
  notes_.names.emplace_back(declared.name.text);
  return id;
}

Result<void> Parser::append(Instruction instruction, std::span<const ValueId> operands,
                            const std::vector<Declared>& results) {
  instruction.operand_count = static_cast<uint8_t>(operands.size());
  instruction.result_count = static_cast<uint8_t>(results.size());
  instruction.first_operand = static_cast<uint32_t>(program_.operands.size());
  instruction.first_result = static_cast<ValueId>(program_.values.size());
  program_.operands.insert(program_.operands.end(), operands.begin(), operands.end());
  for (const Declared& result : results) TRY(define(result));
  program_.blocks[block_].instructions.push_back(
      static_cast<InstructionId>(program_.instructions.size()));
  program_.instructions.push_back(instruction);
  return {};
}

// --- Declarations ---

Result<void> Parser::parse_head() {
  notes_.version.first = next_place();
  TRY(parse_word("leat-kernel"));
  TRY(parse_int(1, kTextVersion, "the version of the text form"));
  notes_.version.last = taken_;
  notes_.kernel.first = next_place();
  TRY(parse_word("kernel"));
  TRY_ASSIGN(program_.name, parse_string());
  TRY(parse_word("lanes"));
  TRY_ASSIGN(const int64_t lanes, parse_int(1, INT32_MAX, "the lanes of a wave"));
  TRY(parse_word("waves"));
  TRY_ASSIGN(const int64_t waves, parse_int(1, INT32_MAX, "the waves of a workgroup"));
  program_.wave_lanes = static_cast<uint32_t>(lanes);
  program_.waves_per_workgroup = static_cast<uint32_t>(waves);
  TRY(parse_word("grid"));
  for (uint32_t& extent : program_.grid) {
    TRY_ASSIGN(const int64_t groups, parse_int(1, INT32_MAX, "a number of workgroups"));
    extent = static_cast<uint32_t>(groups);
  }
  notes_.kernel.last = taken_;
  while (is_word("parameter") || is_word("local")) {
    const bool is_parameter = is_word("parameter");
    const SourcePlace first = next_place();
    TRY(is_parameter ? parse_parameter() : parse_local());
    (is_parameter ? notes_.parameters : notes_.locals).push_back({first, taken_});
  }
  return {};
}

// parameter name : f16[1024] read
Result<void> Parser::parse_parameter() {
  take();
  Parameter parameter;
  TRY_ASSIGN(parameter.name, parse_new_name());
  TRY(parse_symbol(':'));
  const std::optional<DType> storage =
      token_.kind == Kind::word ? storage_named(token_.text) : std::nullopt;
  if (!storage) return expected("a storage type such as \"f32\", \"f16\" or \"i8\"");
  take();
  parameter.storage = *storage;
  TRY(parse_symbol('['));
  TRY_ASSIGN(parameter.element_count, parse_int(0, INT32_MAX, "a number of elements"));
  TRY(parse_symbol(']'));
  parameter.written = is_word("write");
  if (!parameter.written && !is_word("read")) return expected("\"read\" or \"write\"");
  take();
  program_.parameters.push_back(std::move(parameter));
  return {};
}

// local name : f32x4[256]
Result<void> Parser::parse_local() {
  take();
  LocalMemory local;
  TRY_ASSIGN(local.name, parse_new_name());
  TRY(parse_symbol(':'));
  std::string_view element = token_.kind == Kind::word ? token_.text : "";
  local.width = take_width(element);
  const std::optional<DType> storage = storage_named(element);
  if (!storage || local.width == 0) return expected("an element such as \"f32\" or \"i32x4\"");
  take();
  local.storage = *storage;
  TRY(parse_symbol('['));
  TRY_ASSIGN(const int64_t count, parse_int(1, INT32_MAX, "a number of elements"));
  local.count = static_cast<uint32_t>(count);
  TRY(parse_symbol(']'));
  program_.locals.push_back(std::move(local));
  return {};
}

Result<Program> Parser::parse() {
  TRY(parse_head());
  program_.blocks.emplace_back();
  open_scope();
  TRY(parse_block(0, 0));
  if (token_.kind != Kind::end) return expected("the end of the text");
  return std::move(program_);
}

Result<Program> parse_program(std::string_view text, std::string_view file) {
  SourceNotes notes;
  return parse_program(text, file, notes);
}

Result<Program> parse_program(std::string_view text, std::string_view file, SourceNotes& notes) {
  if (text.size() > kTextBytesMax) {
    return Error(ErrorKind::invalid_argument,
                 fmt::format("The size of \"{}\" ({} bytes) is larger than the limit ({}).", file,
                             text.size(), kTextBytesMax));
  }
  return Parser(text, file, notes).parse();
}

}  // namespace leat::ir
