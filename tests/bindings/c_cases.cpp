// Counts the cases of c_calls.c, and looks that it calls all of leat.h.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "tests/bindings/c_calls.h"

void c_expectation_failed(const char* file, int line, const char* text, const char* message) {
  ADD_FAILURE_AT(file, line) << text << "\nlast message: " << message;
}

namespace {

class CCalls : public testing::TestWithParam<c_case> {};

TEST_P(CCalls, Hold) { GetParam().run(); }

std::vector<c_case> all_cases() {
  std::vector<c_case> cases;
  for (const c_case* one = c_cases; one->name != nullptr; ++one) cases.push_back(*one);
  return cases;
}

INSTANTIATE_TEST_SUITE_P(, CCalls, testing::ValuesIn(all_cases()),
                         [](const auto& tested) { return std::string(tested.param.name); });

std::string text_of(const std::string& path) {
  std::ifstream in(LEAT_SOURCE_DIR "/" + path);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::set<std::string> matches(const std::string& text, const std::string& pattern) {
  const std::regex expression(pattern);
  std::set<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), expression), end; at != end; ++at) {
    found.insert((*at)[1]);
  }
  return found;
}

TEST(CHeader, EveryFunctionIsCalled) {
  const std::set<std::string> declared =
      matches(text_of("bindings/c/leat.h"), "LEAT_API [a-z0-9_ *]*[ *](leat_[a-z0-9_]+)\\(");
  const std::string calls = text_of("tests/bindings/c_calls.c");
  EXPECT_GE(declared.size(), 40u);
  for (const std::string& name : declared) {
    EXPECT_NE(calls.find(name + "("), std::string::npos) << name << " is not called.";
  }
}

// A function that Python or Fortran names must be one of leat.h.
TEST(CHeader, BindingsNameItsFunctions) {
  const std::set<std::string> declared =
      matches(text_of("bindings/c/leat.h"), "LEAT_API [a-z0-9_ *]*[ *](leat_[a-z0-9_]+)\\(");
  std::set<std::string> named =
      matches(text_of("bindings/python/leat/_library.py"), "\"(leat_[a-z0-9_]+)\": \\[");
  named.merge(matches(text_of("bindings/fortran/leat.f90"), "name=\"(leat_[a-z0-9_]+)\""));
  EXPECT_GE(named.size(), 30u);
  for (const std::string& name : named) {
    EXPECT_TRUE(declared.contains(name)) << name << " is no function of leat.h.";
  }
}

}  // namespace
